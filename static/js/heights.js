// How much higher than one line each of some rows is: what lies above a row is known without looking at all of them.

const KEPT = 8000; // rows; what was measured first is forgotten first, and measured again when it is drawn again

export class Heights {
  constructor() { this.clear(); }

  clear() {
    this.rows = []; // in their order
    this.extras = [];
    this.sums = [0]; // up to each of them
    this.right = 0; // so many of the sums are right
  }

  find(row) {
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle] < row) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** The row is so much higher than one line; tells whether that is news. */
  set(row, extra) {
    const at = this.find(row);
    const known = this.rows[at] === row;
    if ((known ? this.extras[at] : 0) === extra) return false;
    if (known) this.extras[at] = extra;
    else { this.rows.splice(at, 0, row); this.extras.splice(at, 0, extra); }
    this.right = Math.min(this.right, at);
    if (this.rows.length > KEPT) this.forget(this.rows.length - KEPT / 2);
    return true;
  }

  /** What rows before that one have in all. */
  before(row) { return this.sum(this.find(row)); }

  get total() { return this.sum(this.rows.length); }

  sum(count) {
    for (; this.right < count; this.right += 1) this.sums[this.right + 1] = this.sums[this.right] + this.extras[this.right];
    return this.sums[count];
  }

  forget(count) {
    this.rows.splice(0, count);
    this.extras.splice(0, count);
    this.right = 0;
  }

  /** Rows before that one are gone. */
  drop(first) {
    const count = this.find(first);
    if (count) this.forget(count);
  }
}
