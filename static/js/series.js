// The last minutes of one figure, a value a second.

export const HISTORY = 300; // seconds that are kept

/** Seconds are counted from the first value on (`first` … `next` - 1); NaN where nothing ran. */
export class Series {
  constructor() {
    this.values = new Float32Array(HISTORY).fill(NaN);
    this.next = 0;
    this.last = NaN;
  }

  push(value) {
    this.last = value === null || value === undefined ? NaN : value;
    this.values[this.next % HISTORY] = this.last;
    this.next += 1;
  }

  get first() { return Math.max(0, this.next - HISTORY); }
  at(second) { return this.values[second % HISTORY]; }
}
