// What is shown of the lines: the sources that are read, what a filter leaves of them with its surroundings, traces folded or not.

import { hasEscapes, strip } from './ansi.js';
import { EVENT, GAP, LINE } from './lines.js';
import { BATCH } from './match.js';

const GROUP = 2000; // rows in which the lines of one trace are looked for, when one of them was found

const bareOf = (lines, row) => { const text = lines.text(row); return hasEscapes(text) ? strip(text) : text; };

/**
 * A list of rows that keeps up with the lines. Give it what is wanted by `set`, and call `advance` when lines have come:
 * it does a part of the work at a time. `wake` is called when there is more to be done after an answer.
 */
export class Sieve {
  constructor(lines, wake = () => {}) {
    this.lines = lines;
    this.wake = wake;
    this.asked = 0; // grows with each question, so that late answers are known
    this.set({});
  }

  /**
   * reads     whether a source is read: `(source, kind) => boolean`; null reads all
   * picks     whether a line is wanted, apart from its text: `(lines, row, bare) => boolean`; null takes all
   * pattern   a Pattern of `match.js`, or null
   * before, after   how many lines around what was found are shown too
   * folded    whether the lines of traces are hidden; `turned` holds the heads of those that are as the others are not
   * lone      whether gaps and events are left out
   */
  set({ reads = null, picks = null, pattern = null, before = 0, after = 0, folded = false, turned = new Set(), lone = false }) {
    Object.assign(this, { reads, picks, pattern, before, after, folded, turned, lone });
    this.all = !reads && !picks && !pattern && !folded && !turned.size && !lone;
    this.begin();
  }

  /** From the first line on, as after rows were put among the others. */
  begin() {
    this.version = this.lines.version;
    this.rows = [];
    this.from = 0; // where the live part of `rows` begins
    this.dropped = 0; // how many have gone at its front
    this.decided = this.lines.first; // rows before it have been looked at
    this.asked += 1;
    this.waits = false;
    this.recent = []; // the last rows that were not taken
    this.left = 0; // how many more are taken as surroundings
  }

  /** What is to be seen: how many rows, how many have gone from the front, the row at a place and the place of a row. */
  get shown() { return this.all ? this.lines.count : this.rows.length - this.from; }
  get gone() { return this.all ? this.lines.first : this.dropped; }
  at(place) { return this.all ? this.lines.first + place : this.rows[this.from + place]; }

  /** How many rows are shown before that one. */
  placeOf(row) {
    if (this.all) return Math.min(Math.max(row - this.lines.first, 0), this.lines.count);
    let low = this.from;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle] < row) low = middle + 1; else high = middle;
    }
    return low - this.from;
  }

  has(row) {
    return this.all ? row >= this.lines.first && row < this.lines.next : this.at(this.placeOf(row)) === row;
  }

  /** How many lines have not been looked at yet. */
  get behind() { return this.all ? 0 : this.lines.next - Math.max(this.decided, this.lines.first); }

  /** Rows that the lines have dropped are gone here too. */
  trim() {
    if (this.all) return;
    const { first } = this.lines;
    while (this.from < this.rows.length && this.rows[this.from] < first) { this.from += 1; this.dropped += 1; }
    // Cutting an array costs its length: do it rarely.
    if (this.from > 65536) { this.rows = this.rows.slice(this.from); this.from = 0; }
    if (this.decided < first) this.decided = first;
  }

  /** Looks at what has come, for so many milliseconds at most; tells whether there is more that can be done now. */
  advance(budget = 8) {
    if (this.all) return false;
    if (this.version !== this.lines.version) this.begin();
    this.trim();
    if (this.waits) return false;
    if (this.pattern && !this.pattern.test) { if (!this.pattern.failed) this.question(); return false; }
    const until = performance.now() + budget;
    const { lines, pattern } = this;
    while (this.decided < lines.next) {
      const end = Math.min(lines.next, this.decided + 512);
      for (let row = this.decided; row < end; row += 1) {
        if (lines.kind(row) !== LINE) this.between(row);
        else if (!this.reads || this.reads(lines.source(row))) {
          const bare = pattern || this.picks ? bareOf(lines, row) : '';
          this.judge(row, (!this.picks || this.picks(lines, row, bare)) && (!pattern || pattern.test(bare)));
        }
      }
      this.decided = end;
      if (performance.now() > until) return this.decided < lines.next;
    }
    return false;
  }

  /** A batch of lines goes to who can tell. */
  question() {
    const { lines } = this;
    const end = Math.min(lines.next, this.decided + BATCH);
    if (end === this.decided) return;
    const rows = [];
    const texts = [];
    for (let row = this.decided; row < end; row += 1) {
      if (lines.kind(row) === LINE && (!this.reads || this.reads(lines.source(row)))) { rows.push(row); texts.push(bareOf(lines, row)); }
    }
    this.asked += 1;
    const mine = this.asked;
    this.waits = true;
    this.pattern.ask(texts).then((bits) => { if (mine === this.asked) this.answered(end, rows, texts, bits); }, () => { if (mine === this.asked) { this.waits = false; this.wake(); } });
  }

  answered(end, rows, texts, bits) {
    this.waits = false;
    const { lines } = this;
    if (this.version !== lines.version) { this.wake(); return; }
    let next = 0;
    for (let row = this.decided; row < end; row += 1) {
      const asked = rows[next] === row ? next++ : -1;
      if (row < lines.first) continue;
      if (lines.kind(row) !== LINE) this.between(row);
      else if (asked >= 0) this.judge(row, bits[asked] === 1 && (!this.picks || this.picks(lines, row, texts[asked])));
    }
    this.decided = Math.max(end, lines.first);
    this.wake();
  }

  /** A gap or an event is shown where its watcher is read. */
  between(row) {
    const kind = this.lines.kind(row);
    if (this.lone || (this.reads && !this.reads(this.lines.source(row), kind))) return;
    if (kind === GAP || kind === EVENT) this.put(row);
  }

  judge(row, wanted) {
    const head = this.lines.head(row);
    if (head !== row && head >= this.lines.first && !this.lone) { this.judgeFrame(row, head, wanted); return; }
    if (wanted) { this.take(row); return; }
    if (this.left > 0) { this.left -= 1; this.put(row); return; }
    if (!this.before) return;
    this.recent.push(row);
    if (this.recent.length > this.before) this.recent.shift();
  }

  take(row) {
    for (const before of this.recent) this.put(before);
    this.recent = [];
    this.left = this.after;
    this.put(row);
  }

  /** A line of a trace is shown with the rest of it, and a trace of which one line is wanted is shown whole. */
  judgeFrame(row, head, wanted) {
    const hidden = this.folded !== this.turned.has(head);
    const there = this.has(head);
    if (wanted && !there) {
      const from = Math.max(head, row - GROUP, this.lines.first);
      for (let other = from; other < row; other += 1) {
        if (this.lines.kind(other) === LINE && this.lines.head(other) === head && (other === head || !hidden)) this.put(other);
      }
      this.take(head);
    }
    if ((wanted || there) && !hidden) this.put(row);
  }

  put(row) {
    const last = this.rows[this.rows.length - 1];
    if (last === undefined || row > last || this.rows.length === this.from) { this.rows.push(row); return; }
    if (row === last) return;
    const place = this.placeOf(row);
    if (this.at(place) !== row) this.rows.splice(this.from + place, 0, row);
  }
}
