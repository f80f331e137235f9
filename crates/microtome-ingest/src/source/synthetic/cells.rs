//! Crypts, fat cells, vessels and free nuclei: where they are and how each is drawn.
//!
//! Everything sits in a cell of a jittered grid, and whether and how depends on that cell and its neighbours
//! alone: any block that it touches draws it alike.

use microtome_container::geometry::Rect;

use super::Block;
use super::ground::{Lattice, Textures};
use super::layout::{Layout, Zones};
use super::noise::{Draws, normalised, step};
use super::palette::{GOBLET, LYMPHOCYTE, NUCLEUS, RED_CELL, SPINDLE};
use super::shapes::{Blob, Layer, Outline, Profile, Shape};

/// A kind of [`Shape`] on its jittered grid; lengths in pixels.
#[derive(Clone, Copy)]
struct Grid {
    salt: u32,
    pitch: (f32, f32),
    jitter: f32,
    /// Bound on the distance from a centre that is drawn.
    reach: f32,
    /// Half the distance that two neighbours keep.
    gap: f32,
    /// Whether one may be at a place in these zones.
    grows: fn(&Zones) -> bool,
}

const CRYPTS: Grid = Grid {
    salt: 0xC0,
    pitch: (318.0, 282.0),
    jitter: 46.0,
    reach: 340.0,
    gap: 13.0,
    grows: |zones| zones.mucosa > 0.7 && zones.depth > 190.0 && zones.lymph < 0.25,
};
const FAT_CELLS: Grid = Grid {
    salt: 0xFA,
    pitch: (218.0, 190.0),
    jitter: 44.0,
    reach: 210.0,
    gap: 2.2,
    grows: |zones| zones.fat > 0.45,
};
const VESSELS: Grid = Grid {
    salt: 0x5E,
    pitch: (860.0, 760.0),
    jitter: 210.0,
    reach: 290.0,
    gap: 60.0,
    grows: |zones| zones.mucosa + zones.muscle + zones.fat < 0.02 && zones.depth > 330.0,
};

/// Bound on the distance from the centre of a free nucleus that is drawn.
const FREE_REACH: f32 = 34.0;

/// An occupied cell of a [`Grid`].
struct Seat {
    column: i32,
    row: i32,
    x: f32,
    y: f32,
    zones: Zones,
}

/// The occupied cells within `reach` of an area, and two cells more.
fn seats(grid: &Grid, layout: &Layout, seed: u32, area: Rect) -> Vec<Seat> {
    let range = |start: u32, length: u32, pitch: f32| {
        let low = (start as f32 - grid.reach - grid.jitter) / pitch;
        let high = ((start + length) as f32 + grid.reach + grid.jitter) / pitch;
        low as i32 - 3..high as i32 + 3
    };
    let mut found = Vec::new();
    for row in range(area.y, area.height, grid.pitch.1) {
        for column in range(area.x, area.width, grid.pitch.0) {
            let mut draws = Draws::new(seed ^ grid.salt, column, row);
            let x = (column as f32 + 0.5 * (row & 1) as f32) * grid.pitch.0 + grid.jitter * draws.signed();
            let y = row as f32 * grid.pitch.1 + grid.jitter * draws.signed();
            let zones = layout.zones(x, y);
            if (grid.grows)(&zones) {
                found.push(Seat { column, row, x, y, zones });
            }
        }
    }
    found
}

/// Feet of the walls halfway to the neighbours of `seat`.
fn walls(grid: &Grid, seats: &[Seat], seat: &Seat) -> Vec<(f32, f32)> {
    let near = |other: &&Seat| {
        let distance = ((other.column - seat.column).abs(), (other.row - seat.row).abs());
        distance != (0, 0) && distance.0 <= 2 && distance.1 <= 2
    };
    seats
        .iter()
        .filter(near)
        .map(|other| {
            let (dx, dy) = (other.x - seat.x, other.y - seat.y);
            let length = (dx * dx + dy * dy).sqrt();
            let foot = (0.5 * length - grid.gap).max(20.0) / length;
            (dx * foot, dy * foot)
        })
        .collect()
}

/// Whether anything within `reach` of (`x`, `y`) can lie in the area.
fn touches(area: Rect, x: f32, y: f32, reach: f32) -> bool {
    let outside =
        |at: f32, start: u32, length: u32| at + reach < start as f32 || at - reach > (start + length) as f32;
    !outside(x, area.x, area.width) && !outside(y, area.y, area.height)
}

/// A crypt, fat cell or vessel: its body, and what is drawn upon it.
struct Organ {
    shape: Shape,
    profile: Profile,
    blobs: Vec<Blob>,
}

/// All cells that touch one area.
pub(super) struct Cells {
    organs: Vec<Organ>,
    free: Vec<Blob>,
}

impl Cells {
    /// Finds the cells that touch `area`, around which `lattice` lies.
    pub(super) fn new(
        layout: &Layout,
        lattice: &Lattice,
        rays: &[(f32, f32)],
        seed: u32,
        area: Rect,
    ) -> Self {
        let planter = Planter { layout, lattice, rays, seed };
        let mut organs = Vec::new();
        for (grid, grow) in
            [(FAT_CELLS, Planter::fat_cell as Grow<'_>), (VESSELS, Planter::vessel), (CRYPTS, Planter::crypt)]
        {
            let seats = seats(&grid, layout, seed, area);
            let near = seats.iter().filter(|seat| touches(area, seat.x, seat.y, grid.reach + FREE_REACH));
            organs.extend(near.map(|seat| grow(&planter, &seats, seat)));
        }
        let free = planter.free_nuclei(area, &organs);
        Self { organs, free }
    }

    /// Draws what lies in `block`.
    pub(super) fn paint(&self, block: &mut Block, textures: &Textures) {
        for organ in &self.organs {
            organ.shape.paint(block, &organ.profile, &textures.fibres);
            for blob in &organ.blobs {
                blob.paint(block, &textures.grain);
            }
        }
        for blob in &self.free {
            blob.paint(block, &textures.grain);
        }
    }
}

/// Makes the organ of a seat, given all seats around it.
type Grow<'a> = fn(&Planter<'a>, &[Seat], &Seat) -> Organ;

/// What decides where cells are and how they look.
struct Planter<'a> {
    layout: &'a Layout,
    lattice: &'a Lattice,
    rays: &'a [(f32, f32)],
    seed: u32,
}

impl Planter<'_> {
    fn draws(&self, grid: &Grid, seat: &Seat) -> Draws {
        Draws::new(self.seed ^ grid.salt ^ 0xD00, seat.column, seat.row)
    }

    fn fat_cell(&self, seats: &[Seat], seat: &Seat) -> Organ {
        let mut draws = self.draws(&FAT_CELLS, seat);
        let radius = draws.between(120.0, 165.0);
        let outline = Outline {
            x: seat.x,
            y: seat.y,
            axes: (radius, radius * draws.between(0.85, 1.0)),
            along: draws.direction(),
            wavy: 0.06,
            seed: self.seed ^ 0xFA7,
        };
        let shape = Shape::new(&outline, &walls(&FAT_CELLS, seats, seat));
        let membrane = 4.0 / shape.reach;
        let profile = Profile::new(0.0, 512.0, 0.0, |t| Layer {
            cover: (1.0 - step(1.0 - membrane, 1.0, t)),
            haematoxylin: 0.003,
            eosin: 0.005,
            ..Layer::default()
        });
        Organ { shape, profile, blobs: Vec::new() }
    }

    fn vessel(&self, seats: &[Seat], seat: &Seat) -> Organ {
        let mut draws = self.draws(&VESSELS, seat);
        let radius = draws.between(60.0, 150.0);
        let outline = Outline {
            x: seat.x,
            y: seat.y,
            axes: (radius * draws.between(1.0, 1.4), radius),
            along: draws.direction(),
            wavy: 0.22,
            seed: self.seed ^ 0x7E5 ^ seat.column as u32,
        };
        let shape = Shape::new(&outline, &walls(&VESSELS, seats, seat));
        let lumen = draws.between(0.5, 0.8);
        let profile = Profile::new(0.0, 512.0, 100.0 * draws.unit(), |t| {
            let wall = step(lumen - 0.03, lumen + 0.03, t);
            Layer {
                cover: 1.0 - step(0.97, 1.1, t),
                haematoxylin: 0.01 + 0.07 * wall,
                eosin: 0.02 + 0.36 * wall,
                streak: 0.12 * wall,
                border: 0.0,
            }
        });
        let mut blobs = Vec::new();
        self.blood(&mut blobs, &shape, lumen, &mut draws);
        self.vessel_wall(&mut blobs, &shape, lumen, &mut draws);
        Organ { shape, profile, blobs }
    }

    /// Erythrocytes in a vessel's lumen.
    fn blood(&self, blobs: &mut Vec<Blob>, shape: &Shape, lumen: f32, draws: &mut Draws) {
        let filling = draws.between(0.0, 0.8);
        let count = (filling * lumen * lumen * shape.reach * shape.reach / 130.0) as usize;
        for _ in 0..count {
            let (ray, radius) = shape.ray(self.rays, draws.unit());
            let distance = (lumen * radius - 14.0).max(0.0) * draws.unit().sqrt();
            let blob = Blob { eosin: draws.between(0.36, 0.5), ..RED_CELL };
            blobs.push(Blob { x: shape.x + distance * ray.0, y: shape.y + distance * ray.1, ..blob });
        }
    }

    /// Nuclei of endothelium and smooth muscle around a vessel's lumen.
    fn vessel_wall(&self, blobs: &mut Vec<Blob>, shape: &Shape, lumen: f32, draws: &mut Draws) {
        let count = (shape.girth() / 34.0) as usize;
        for i in 0..count {
            let (ray, radius) = shape.ray(self.rays, (i as f32 + draws.unit()) / count as f32 % 1.0);
            let distance = radius * if i % 3 == 0 { lumen } else { draws.between(lumen, 0.95) };
            let along = normalised(-ray.1 + 0.2 * draws.signed(), ray.0 + 0.2 * draws.signed());
            let blob = Blob { axes: (draws.between(13.0, 20.0), draws.between(4.5, 6.5)), along, ..SPINDLE };
            blobs.push(Blob { x: shape.x + distance * ray.0, y: shape.y + distance * ray.1, ..blob });
        }
    }

    fn crypt(&self, seats: &[Seat], seat: &Seat) -> Organ {
        let mut draws = self.draws(&CRYPTS, seat);
        let near = |dx: f32, dy: f32| self.layout.depth(seat.x + dx, seat.y + dy);
        let inward = normalised(near(40.0, 0.0) - near(-40.0, 0.0), near(0.0, 40.0) - near(0.0, -40.0));
        let longer = draws.between(1.0, 1.3) + 0.6 * (1.0 - step(200.0, 700.0, seat.zones.depth));
        let width = draws.between(105.0, 148.0);
        let along = normalised(inward.0 + 0.35 * draws.signed(), inward.1 + 0.35 * draws.signed());
        let mut walls = walls(&CRYPTS, seats, seat);
        let to_surface = (seat.zones.depth - 118.0).min(400.0);
        walls.push((-inward.0 * to_surface, -inward.1 * to_surface));
        let outline = Outline {
            x: seat.x,
            y: seat.y,
            axes: (width * longer, width),
            along,
            wavy: 0.12,
            seed: self.seed ^ 0xC47 ^ (seat.column as u32) << 8 ^ seat.row as u32,
        };
        self.crypt_body(Shape::new(&outline, &walls), &mut draws)
    }

    fn crypt_body(&self, shape: Shape, draws: &mut Draws) -> Organ {
        let cells = (shape.girth() / 21.0) as usize as f32;
        let dilated = draws.unit() > 0.85;
        let lumen = if dilated { draws.between(0.35, 0.5) } else { draws.between(0.1, 0.22) };
        let (blue, pink) = (draws.between(0.17, 0.25), draws.between(0.25, 0.33));
        let retraction = draws.between(0.0, 0.9);
        let pixel = 1.0 / shape.reach;
        let profile = Profile::new(cells, 1024.0, 500.0 * draws.unit(), |t| {
            let wall = step(lumen - 5.0 * pixel, lumen + 4.0 * pixel, t);
            let basal = step(0.55, 0.85, t);
            let membrane =
                step(1.0 - 3.0 * pixel, 1.0, t) * (1.0 - step(1.0 + 3.0 * pixel, 1.0 + 6.0 * pixel, t));
            let outside = step(1.0 + 3.0 * pixel, 1.0 + 6.0 * pixel, t);
            let inside = wall * (1.0 - outside);
            Layer {
                cover: (1.0 - outside)
                    + outside * retraction * (1.0 - step(1.0 + 10.0 * pixel, 1.0 + 22.0 * pixel, t)),
                haematoxylin: 0.012 + inside * (blue * (0.6 + 0.6 * basal) * (1.0 - membrane)),
                eosin: 0.03 + inside * (pink * (1.0 - 0.15 * basal) + 0.15 * membrane),
                streak: 0.17 * inside * (1.0 - membrane) * step(0.1, 0.8, t),
                border: 0.13 * inside * (1.0 - basal) * step(0.2, 0.6, t),
            }
        });
        let mut blobs = Vec::new();
        self.goblets(&mut blobs, &shape, (cells, lumen), draws);
        self.palisade(&mut blobs, &shape, cells, draws);
        Organ { shape, profile, blobs }
    }

    /// Mucus vacuoles of goblet cells, between lumen and nuclei.
    fn goblets(&self, blobs: &mut Vec<Blob>, shape: &Shape, (cells, lumen): (f32, f32), draws: &mut Draws) {
        let share = draws.between(0.45, 1.0);
        let rings = [(0.60, 0.19, 0.56), (0.35, 0.13, 0.42)];
        for (ring, (middle, depth, count)) in rings.into_iter().enumerate() {
            let count = (cells * count) as usize;
            for i in 0..count {
                let (ray, radius) = shape.ray(self.rays, (i as f32 + 0.5 * draws.unit()) / count as f32);
                let at = middle + 0.05 * draws.signed();
                let width =
                    0.5 * std::f32::consts::TAU * at * radius / count as f32 * draws.between(0.75, 1.0);
                let chosen = draws.unit() < share && at - depth > lumen - 0.02 && width > 5.0;
                let size = (radius * depth * draws.between(0.75, 1.1), width.min(24.0));
                let pale = draws.between(0.07, 0.13);
                let along = normalised(ray.0 + 0.15 * draws.signed(), ray.1 + 0.15 * draws.signed());
                if chosen {
                    let blob = Blob { axes: size, along, haematoxylin: pale, eosin: 0.25 * pale, ..GOBLET };
                    let blob = Blob { opacity: if ring == 0 { 0.92 } else { 0.8 }, ..blob };
                    blobs.push(Blob {
                        x: shape.x + at * radius * ray.0,
                        y: shape.y + at * radius * ray.1,
                        ..blob
                    });
                }
            }
        }
    }

    /// Nuclei at the base of a crypt's cells.
    fn palisade(&self, blobs: &mut Vec<Blob>, shape: &Shape, cells: f32, draws: &mut Draws) {
        let count = cells as usize;
        for i in 0..count {
            let (ray, radius) = shape.ray(self.rays, (i as f32 + 0.5 + 0.35 * draws.signed()) / cells);
            let upper = draws.unit() < 0.18;
            let inset = if upper { draws.between(34.0, 48.0) } else { draws.between(15.0, 23.0) };
            let distance = radius - inset;
            let along = normalised(ray.0 + 0.3 * draws.signed(), ray.1 + 0.3 * draws.signed());
            let blob = Blob {
                axes: (draws.between(12.5, 17.5), draws.between(8.0, 10.5)),
                along,
                haematoxylin: draws.between(0.44, 0.66),
                ..NUCLEUS
            };
            blobs.push(Blob { x: shape.x + distance * ray.0, y: shape.y + distance * ray.1, ..blob });
        }
    }

    /// Nuclei of stroma, lymphocytes and surface epithelium, wherever no crypt, vessel or fat cell is.
    fn free_nuclei(&self, area: Rect, organs: &[Organ]) -> Vec<Blob> {
        const PITCH: f32 = 28.0;
        let range = |start: u32, length: u32| {
            let (low, high) = (start as f32 - FREE_REACH, (start + length) as f32 + FREE_REACH);
            (low / PITCH) as i32 - 1..(high / PITCH) as i32 + 1
        };
        let mut blobs = Vec::new();
        for row in range(area.y, area.height) {
            for column in range(area.x, area.width) {
                let mut draws = Draws::new(self.seed ^ 0x4C, column, row);
                let x = (column as f32 + draws.unit()) * PITCH;
                let y = (row as f32 + draws.unit()) * PITCH;
                if !touches(area, x, y, FREE_REACH) {
                    continue;
                }
                let (zones, fibre) = self.lattice.near(x, y);
                let free = zones.depth > 12.0 && organs.iter().all(|organ| organ.shape.relative(x, y) > 1.07);
                if let Some(blob) = free.then(|| self.free_nucleus(&mut draws, zones, fibre, x, y)).flatten()
                {
                    blobs.push(Blob { x, y, ..blob });
                }
            }
        }
        blobs
    }

    fn free_nucleus(
        &self,
        draws: &mut Draws,
        zones: &Zones,
        fibre: (f32, f32),
        x: f32,
        y: f32,
    ) -> Option<Blob> {
        let lamina = zones.mucosa - zones.surface;
        let deep = 1.0 - zones.mucosa - zones.muscle;
        let crowd = 0.50 * lamina + 0.8 * zones.surface + 0.2 * zones.muscle + 0.09 * deep;
        let crowd = crowd + zones.lymph * (0.97 - crowd);
        let (present, kind) = (draws.unit() < crowd, draws.unit());
        if !present {
            return None;
        }
        let stain = draws.between(0.48, 0.8);
        if zones.surface > 0.5 {
            let (ix, iy) = self.lattice.inward(x, y);
            let along = normalised(ix + 0.2 * draws.signed(), iy + 0.2 * draws.signed());
            let axes = (draws.between(13.0, 17.0), draws.between(7.5, 9.5));
            let palisade = (26.0..76.0).contains(&zones.depth);
            return palisade.then_some(Blob { axes, along, haematoxylin: 0.9 * stain, ..NUCLEUS });
        }
        let round = zones.lymph.max(0.55 * lamina).max(0.12);
        if kind < round {
            let radius = draws.between(9.0, 12.5);
            let axes = (radius * draws.between(1.0, 1.2), radius);
            return Some(Blob { axes, along: draws.direction(), haematoxylin: stain, ..LYMPHOCYTE });
        }
        if kind > 0.965 && lamina > 0.5 {
            return Some(Blob { eosin: draws.between(0.34, 0.5), ..RED_CELL });
        }
        let axes = (draws.between(14.0, 23.0), draws.between(4.2, 7.0));
        let along = normalised(fibre.0 + 0.25 * draws.signed(), fibre.1 + 0.25 * draws.signed());
        Some(Blob { axes, along, haematoxylin: stain, ..SPINDLE })
    }
}
