// From degrees to pixels: equirectangular about the middle, fitted into a box.
//
// North is up, or to the right where a tall shape fills a wide box much better lying down.

import type { Bounds, Point } from "./track";

export interface Projection {
  /** Degrees at the middle of the box. */
  lat: number;
  lon: number;
  /** Pixels per degree of latitude, and per degree of longitude there. */
  perLat: number;
  perLon: number;
  /** How far north is turned clockwise, in radians. */
  turn: number;
  width: number;
  height: number;
}

/** The least extent that is shown, in degrees of latitude: about 60 m. */
const MIN_EXTENT = 5e-4;
/** A turn must enlarge the picture by so much. */
const WORTH_TURNING = 1.3;

/** `turned` is whether the picture lies down already: it stays as it is in doubt. */
export function fit(bounds: Bounds, width: number, height: number, padding: number, turned = false): Projection {
  const lat = (bounds.south + bounds.north) / 2;
  const lon = (bounds.west + bounds.east) / 2;
  const narrow = Math.max(0.01, Math.cos((lat * Math.PI) / 180));
  const tall = Math.max(bounds.north - bounds.south, MIN_EXTENT);
  const wide = Math.max((bounds.east - bounds.west) * narrow, MIN_EXTENT);
  const [right, down] = [Math.max(1, width - 2 * padding), Math.max(1, height - 2 * padding)];
  const upright = Math.min(right / wide, down / tall);
  const lying = Math.min(right / tall, down / wide);
  const turn = turned ? upright < lying * WORTH_TURNING : lying > upright * WORTH_TURNING;
  const perLat = turn ? lying : upright;
  return { lat, lon, perLat, perLon: perLat * narrow, turn: turn ? Math.PI / 2 : 0, width, height };
}

export function project(at: Projection, point: Point): { x: number; y: number } {
  const east = (point.lon - at.lon) * at.perLon;
  const north = (point.lat - at.lat) * at.perLat;
  const [cos, sin] = [Math.cos(at.turn), Math.sin(at.turn)];
  return { x: at.width / 2 + east * cos + north * sin, y: at.height / 2 + east * sin - north * cos };
}

/** Moves a view a part of the way to another, so that it never jumps; lands when it is close. */
export function ease(from: Projection, to: Projection, part: number): Projection {
  const mix = (a: number, b: number): number => a + (b - a) * part;
  const close =
    Math.abs(from.perLat / to.perLat - 1) < 0.001 &&
    Math.abs(from.turn - to.turn) < 0.002 &&
    Math.abs(from.lat - to.lat) * to.perLat < 0.3 &&
    Math.abs(from.lon - to.lon) * to.perLon < 0.3;
  if (close || part >= 1) return to;
  return {
    lat: mix(from.lat, to.lat),
    lon: mix(from.lon, to.lon),
    perLat: mix(from.perLat, to.perLat),
    perLon: mix(from.perLon, to.perLon),
    turn: mix(from.turn, to.turn),
    width: to.width,
    height: to.height,
  };
}
