// Six cars on the captured lap, five positions a second each: a race for looking at the page.

import { readFileSync } from "node:fs";

const TICK_MS = 200;
const METRES_PER_DEGREE = 111_195;
const MPH = 2.2369362920544;

export function readLap(file) {
  const points = readFileSync(file, "utf8").trim().split("\n").map((line) => line.split(",").map(Number));
  const at = [0];
  for (let i = 1; i < points.length; i += 1) at.push(at[i - 1] + distance(points[i - 1], points[i]));
  return { points, at, length: at[at.length - 1] + distance(points[points.length - 1], points[0]) };
}

function distance([lat1, lon1], [lat2, lon2]) {
  const east = (lon2 - lon1) * Math.cos((lat1 * Math.PI) / 180);
  return Math.hypot(lat2 - lat1, east) * METRES_PER_DEGREE;
}

function position({ points, at, length }, metres) {
  const along = ((metres % length) + length) % length;
  let next = at.findIndex((reached) => reached > along);
  if (next < 0) next = points.length;
  const [a, b] = [points[next - 1], points[next % points.length]];
  const end = next < points.length ? at[next] : length;
  const part = (along - at[next - 1]) / (end - at[next - 1]);
  return [a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part];
}

/** Drives one race; hands each derived event to `emit(stream, key, value)`. */
export class Race {
  constructor(name, lap, start, emit) {
    Object.assign(this, { name, lap, emit, time: start, fastest: Infinity });
    this.cars = Array.from({ length: 6 }, (_, car) => ({
      car, metres: 0, phase: car * 1.7, pace: 1 + car * 0.004, laps: 0, lapStart: start, place: null,
    }));
  }

  tick() {
    this.time += TICK_MS;
    for (const car of this.cars) {
      const index = Math.floor((car.metres % this.lap.length) / this.lap.length * this.lap.points.length);
      const step = this.lap.points[index] && this.lap.points[(index + 1) % this.lap.points.length];
      const base = Math.max(5, distance(this.lap.points[index], step));
      const moved = base * car.pace * (1 + 0.05 * Math.sin(this.time / 9000 + car.phase));
      car.metres += moved;
      const [lat, long] = position(this.lap, car.metres);
      const value = { timestamp: this.time, carIndex: car.car, location: { lat, long }, race: this.name };
      this.emit("coordinates", this.name, value, this.time);
      const speed = (moved / (TICK_MS / 1000)) * MPH;
      this.emit("motion", this.name, { ...value, distance: moved, speed, totalDistance: car.metres }, this.time);
      this.emit("status", this.name, { timestamp: this.time, carIndex: car.car, type: "SPEED", value: speed }, this.time);
      this.#lapOf(car);
    }
    this.#rank();
  }

  #say(text) {
    this.emit("commentary", this.name, { timestamp: this.time, text }, this.time);
  }

  #lapOf(car) {
    if (Math.floor(car.metres / this.lap.length) <= car.laps) return;
    car.laps += 1;
    const took = this.time - car.lapStart;
    car.lapStart = this.time;
    const speed = ((this.lap.length / took) * 1000 * MPH).toFixed(2);
    const text = `${Math.floor(took / 60000)}:${((took % 60000) / 1000).toFixed(3).padStart(6, "0")} with an average speed of ${speed} MPH`;
    this.emit("laps", this.name, { kind: "lap", timestamp: this.time, entity: car.car, lap: car.laps, lapTime: took }, this.time);
    this.#say(`Car ${car.car} completed lap ${String(car.laps).padStart(2, "0")} in ${text}`);
    if (took >= this.fastest) return;
    this.fastest = took;
    this.#say(`Car ${car.car} has set the new fastest lap time at ${text}`);
  }

  #rank() {
    const order = [...this.cars].sort((a, b) => b.metres - a.metres);
    const before = new Map(this.cars.map((car) => [car, car.place]));
    order.forEach((car, index) => {
      if (car.place === index + 1) return;
      car.place = index + 1;
      this.emit("positions", this.name, { kind: "position", timestamp: this.time, group: this.name, entity: car.car, position: car.place, previous: before.get(car) }, this.time);
    });
    for (const a of this.cars) {
      for (const b of this.cars) {
        const was = before.get(a) > before.get(b);
        if (before.get(a) !== null && was && a.place < b.place) {
          this.#say(`Car ${a.car} races ahead of Car ${b.car} in a dramatic overtake.`);
        }
      }
    }
  }
}
