// Linked panes: what relates two views, and the view that follows from the other's.
//
// Both slides are measured in a common unit, micrometres where both have them, else the slide's width. A relation says
// which points lie on each other, by what factor one pane shows things larger, how far it is turned against the other, and
// whether it is mirrored. It is taken once, when panes are linked, and holds while they move.

import type { Pair, Slide } from "./slide";
import { type View, normalDegrees } from "./view";

export interface Relation {
  /** Points in common units that lie in the middle of both panes at the same time. */
  readonly leader: Pair;
  readonly follower: Pair;
  /** CSS pixels per common unit: follower's by leader's. */
  readonly factor: number;
  /** Follower's rotation less the leader's; or the sum of both if mirrored. */
  readonly turn: number;
  readonly mirrored: boolean;
}

/** Common units per pixel for each of two slides. */
export function commonUnits(leader: Slide, follower: Slide): [Pair, Pair] {
  if (leader.mpp && follower.mpp) {
    return [leader.mpp, follower.mpp];
  }
  return [
    [1 / leader.width, 1 / leader.width],
    [1 / follower.width, 1 / follower.width],
  ];
}

/** Middle on middle, same scale, same direction. */
export function aligned(leader: Slide, follower: Slide): Relation {
  const [leaderUnit, followerUnit] = commonUnits(leader, follower);
  return {
    leader: [(leader.width / 2) * leaderUnit[0], (leader.height / 2) * leaderUnit[1]],
    follower: [(follower.width / 2) * followerUnit[0], (follower.height / 2) * followerUnit[1]],
    factor: 1,
    turn: 0,
    mirrored: false,
  };
}

/** What relates two views as they are. */
export function relate(leader: View, follower: View, units: readonly [Pair, Pair]): Relation {
  const [leaderUnit, followerUnit] = units;
  const mirrored = leader.flip !== follower.flip;
  return {
    leader: [leader.x * leaderUnit[0], leader.y * leaderUnit[1]],
    follower: [follower.x * followerUnit[0], follower.y * followerUnit[1]],
    factor: follower.zoom / followerUnit[0] / (leader.zoom / leaderUnit[0]),
    turn: normalDegrees(mirrored ? follower.rotation + leader.rotation : follower.rotation - leader.rotation),
    mirrored,
  };
}

/** Where the follower looks when the leader looks there: what moves on one screen moves alike on the other. */
export function follow(relation: Relation, leader: View, units: readonly [Pair, Pair]): View {
  const [leaderUnit, followerUnit] = units;
  const angle = (relation.turn * Math.PI) / 180;
  const dx = (leader.x * leaderUnit[0] - relation.leader[0]) / relation.factor;
  const dy = (leader.y * leaderUnit[1] - relation.leader[1]) / relation.factor;
  // The follower's turn undone. Mirrored: M = R(-f) F R(l), and F R(l) = R(-l) F, so M = R(-turn) F.
  const x = relation.mirrored ? -dx : dx;
  const moved = [Math.cos(angle) * x + Math.sin(angle) * dy, Math.cos(angle) * dy - Math.sin(angle) * x] as const;
  return {
    x: (relation.follower[0] + moved[0]) / followerUnit[0],
    y: (relation.follower[1] + moved[1]) / followerUnit[1],
    zoom: (leader.zoom / leaderUnit[0]) * relation.factor * followerUnit[0],
    rotation: normalDegrees(relation.mirrored ? relation.turn - leader.rotation : leader.rotation + relation.turn),
    flip: leader.flip !== relation.mirrored,
  };
}

/** The same relation with leader and follower changed over. */
export function inverse(relation: Relation): Relation {
  return {
    leader: relation.follower,
    follower: relation.leader,
    factor: 1 / relation.factor,
    turn: relation.mirrored ? relation.turn : -relation.turn,
    mirrored: relation.mirrored,
  };
}
