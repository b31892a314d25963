// The last minutes of one figure, a value a second.

export const HISTORY = 300; // seconds that are kept

/** Seconds are counted from the first value on (`first` … `next` - 1); NaN where nothing ran. */
export class Series {
  constructor() {
    this.values = new Float32Array(HISTORY).fill(NaN);
    this.next = 0;
    this.last = NaN;
    this.begun = false; // whether what was before the first value has been put in
  }

  /** Puts in what was before the first value: `before(seconds)` tells it of so many seconds before that. */
  begin(before) {
    if (this.begun) return;
    this.begun = true;
    const known = Array.from({ length: Math.min(this.next, HISTORY) }, (_, i) => this.at(this.first + i));
    this.next = 0;
    for (let back = HISTORY - known.length; back > 0; back -= 1) this.values[this.next++] = before(back - 1) ?? NaN;
    for (const value of known) this.push(value);
  }

  push(value) {
    this.last = value === null || value === undefined ? NaN : value;
    this.values[this.next % HISTORY] = this.last;
    this.next += 1;
  }

  get first() { return Math.max(0, this.next - HISTORY); }
  at(second) { return this.values[second % HISTORY]; }
}
