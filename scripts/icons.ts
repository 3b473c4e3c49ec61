/**
 * Draws the app's icons, a ship's wheel: `node scripts/icons.ts` writes appPackage/color.png (192 x 192, white on a
 * gradient) and appPackage/outline.png (32 x 32, white on transparent), as Teams wants them.
 */
import { writeFileSync } from 'node:fs';
import { PNG } from 'pngjs';

type Rgb = readonly [number, number, number];
const WHITE: Rgb = [255, 255, 255];
const TOP: Rgb = [50, 130, 184];
const BOTTOM: Rgb = [15, 76, 117];
const SPOKES = 8;
/** Samples per pixel and axis: edges are smooth. */
const SAMPLES = 8;

interface Wheel {
  ring: number;
  ringWidth: number;
  hub: number;
  hole: number;
  spokeWidth: number;
  gripFrom: number;
  gripWidth: number;
}

/** In units of the wheel's radius. The small one is coarser, so that it stays legible. */
const LARGE: Wheel = {
  ring: 0.6,
  ringWidth: 0.12,
  hub: 0.21,
  hole: 0.08,
  spokeWidth: 0.075,
  gripFrom: 0.8,
  gripWidth: 0.125,
};
const SMALL: Wheel = {
  ring: 0.58,
  ringWidth: 0.155,
  hub: 0.25,
  hole: 0,
  spokeWidth: 0.1,
  gripFrom: 0.82,
  gripWidth: 0.15,
};

function onWheel(wheel: Wheel, x: number, y: number): boolean {
  const distance = Math.hypot(x, y);
  if (distance < wheel.hole) return false;
  if (distance <= wheel.hub) return true;
  if (Math.abs(distance - wheel.ring) <= wheel.ringWidth / 2) return true;
  const turn = (2 * Math.PI) / SPOKES;
  const angle = Math.atan2(y, x);
  const off = angle - Math.round(angle / turn) * turn;
  const along = distance * Math.cos(off);
  const across = Math.abs(distance * Math.sin(off));
  if (along < 0) return false;
  const end = 1 - wheel.gripWidth / 2;
  if (along <= end && across <= wheel.spokeWidth / 2) return true;
  // A grip is a thicker stroke with round ends.
  const nearest = Math.min(Math.max(along, wheel.gripFrom), end);
  return Math.hypot(along - nearest, across) <= wheel.gripWidth / 2;
}

/** How much of a pixel the wheel covers, 0 to 1. */
function coverage(wheel: Wheel, size: number, radius: number, column: number, row: number): number {
  let hits = 0;
  for (let sy = 0; sy < SAMPLES; sy += 1)
    for (let sx = 0; sx < SAMPLES; sx += 1) {
      const x = (column + (sx + 0.5) / SAMPLES - size / 2) / radius;
      const y = (row + (sy + 0.5) / SAMPLES - size / 2) / radius;
      if (onWheel(wheel, x, y)) hits += 1;
    }
  return hits / SAMPLES ** 2;
}

function draw(size: number, pixel: (column: number, row: number) => readonly [...Rgb, number]): Buffer {
  const png = new PNG({ width: size, height: size });
  for (let row = 0; row < size; row += 1)
    for (let column = 0; column < size; column += 1) png.data.set(pixel(column, row), (row * size + column) * 4);
  return PNG.sync.write(png);
}

function mix(from: Rgb, to: Rgb, share: number): Rgb {
  const [r, g, b] = from.map((value, index) => Math.round(value + ((to[index] ?? value) - value) * share));
  return [r ?? 0, g ?? 0, b ?? 0];
}

/** The full-colour icon as PNG: opaque to its edges, since Teams rounds the corners itself. */
export function colorIcon(): Buffer {
  const size = 192;
  return draw(size, (column, row) => {
    const background = mix(TOP, BOTTOM, (column + 2 * row) / (3 * size));
    return [...mix(background, WHITE, coverage(LARGE, size, 68, column, row)), 255];
  });
}

/** The outline icon as PNG: white everywhere, and only as opaque as the wheel is there. */
export function outlineIcon(): Buffer {
  const size = 32;
  return draw(size, (column, row) => [...WHITE, Math.round(255 * coverage(SMALL, size, 15.5, column, row))]);
}

if (import.meta.main) {
  const folder = new URL('../appPackage/', import.meta.url);
  writeFileSync(new URL('color.png', folder), colorIcon());
  writeFileSync(new URL('outline.png', folder), outlineIcon());
}
