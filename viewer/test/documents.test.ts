import { describe, expect, test } from "vitest";
import { formatAddress, parseAddress } from "../src/address";
import { parseGeoJson } from "../src/geojson";
import { NEUTRAL, amplification, applyCurve, isNeutral, toneCurve } from "../src/tone";

describe("address", () => {
  test("there and back", () => {
    const address = {
      view: { x: 7112.5, y: 5588, zoom: 0.5, rotation: 27.5, flip: true },
      compare: [
        { reference: "case/b c", view: { x: -3, y: 5600.5, zoom: 0.25, rotation: 28, flip: false } },
        { reference: "source:a&b", view: null },
        { reference: "@8b5ccd4cea0f5c02", view: null },
      ],
      difference: 16,
      overlay: "/notes/a.geojson",
    };
    const text = formatAddress(address);
    expect(text).toBe(
      "#at=7112.5,5588&zoom=0.5&rotation=27.5&flip=1&compare=case/b%20c&beside=-3,5600.5,0.25,28,0&compare=source:a%26b&compare=@8b5ccd4cea0f5c02&difference=16&overlay=/notes/a.geojson",
    );
    expect(parseAddress(text)).toEqual(address);
  });

  test.each(["", "#", "#at=1&zoom=1", "#at=1,x&zoom=1", "#at=1,2&zoom=0", "#at=1,2&zoom=-1", "#at=1e99,2&zoom=1", "#at=,&zoom="])(
    "nonsense is passed over: %s",
    (text) => expect(parseAddress(text).view).toBeNull(),
  );

  test("a place alone is shown as it is, not reduced", () => {
    expect(parseAddress("#at=1,2").view).toEqual({ x: 1, y: 2, zoom: 1, rotation: 0, flip: false });
  });

  test("no more slides than there are panes", () => {
    const { compare } = parseAddress("#beside=1,2,1,0,0&compare=a&beside=1,2&compare=&compare=b&compare=c&compare=d");
    expect(compare).toEqual(["a", "b", "c"].map((reference) => ({ reference, view: null })));
    expect(parseAddress("#difference=8").difference).toBeNull();
  });
});

describe("GeoJSON", () => {
  const polygon = { type: "Polygon", coordinates: [[[0, 0], [10, 0], [10, 20], [0, 0]]] };

  test("QuPath's features, with both of its ways to write a colour", () => {
    const features = parseGeoJson(
      JSON.stringify({
        type: "FeatureCollection",
        features: [
          { type: "Feature", geometry: polygon, properties: { classification: { name: "Tumor", color: [200, 0, 0] } } },
          { type: "Feature", geometry: { type: "Point", coordinates: [5, 6] }, properties: { classification: { name: "x", colorRGB: -16711936 } } },
          { type: "Feature", geometry: { type: "MultiPolygon", coordinates: [polygon.coordinates, polygon.coordinates] }, properties: null },
          { type: "Feature", geometry: null, properties: {} },
        ],
      }),
    );
    expect(features.map(({ shape, colour, name }) => [shape, colour, name])).toEqual([
      ["polygon", "rgb(200 0 0)", "Tumor"],
      ["point", "rgb(0 255 0)", "x"],
      ["polygon", "#ff4040", ""],
      ["polygon", "#ff4040", ""],
    ]);
    expect(features[0]?.box).toEqual([0, 0, 10, 20]);
  });

  test("one geometry, and a list of features", () => {
    expect(parseGeoJson(JSON.stringify({ type: "LineString", coordinates: [[0, 0], [1, 1]] }))).toHaveLength(1);
    expect(parseGeoJson(JSON.stringify([{ type: "Feature", geometry: polygon }]))).toHaveLength(1);
  });

  test.each([
    ["{", "not JSON"],
    ["3", "not GeoJSON"],
    ['{"type":"Circle","coordinates":[1,2]}', "type Circle"],
    ['{"type":"LineString","coordinates":[[1,null]]}', "Feature 1"],
    ['{"type":"LineString","coordinates":[[1,1]]}', "Feature 1 has a line of fewer than 2 points"],
    ['{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9]],[[1,1]]]}', "Feature 1 has a polygon of fewer than 3 points"],
    ['{"type":"LineString","coordinates":7}', "not a list"],
    ['[{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}},4]', "Feature 2"],
  ])("%s is refused with a reason", (text, why) => expect(() => parseGeoJson(text)).toThrow(why));

  test("nested collections and too many features are refused", () => {
    const nested = '{"type":"GeometryCollection","geometries":['.repeat(50) + "]}".repeat(50);
    expect(() => parseGeoJson(nested)).toThrow("geometry");
    expect(() => parseGeoJson(`[${"0,".repeat(100_000)}0]`)).toThrow("too many");
  });
});

describe("tone", () => {
  test("neutral changes nothing, gamma keeps black and white", () => {
    expect(isNeutral(toneCurve(NEUTRAL))).toBe(true);
    const curve = toneCurve({ ...NEUTRAL, gamma: 2 });
    expect([curve[0], curve[255]]).toEqual([0, 1]);
    expect(curve[64]).toBeGreaterThan(64 / 255);
  });

  test("differences grow, and alpha stays", () => {
    const samples = new Uint8ClampedArray([0, 2, 100, 7]);
    applyCurve(samples, amplification(16));
    expect([...samples]).toEqual([0, 32, 255, 7]);
  });
});
