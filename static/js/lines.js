// The lines of a log in the page: a ring with an end to its size, each with its source, its level and what it belongs to.

import { after, hasEscapes, plain, strip } from './ansi.js';
import { levelOf } from './level.js';
import { Trace } from './trace.js';

export const LINE = 0;
export const GAP = 1;
export const EVENT = 2;

export const STREAMS = ['stdout', 'stderr'];
const NO_STREAM = 2; // what stands between the lines and comes from none

const FIRST_SIZE = 4096;
const FIRST_ROW = 2 ** 32; // older lines come before it
const HEAD = 300; // characters of a line that say what it is
const SPAN = 20000; // rows within which the lines of one trace are looked for
const COLUMNS = ['texts', 'times', 'numbers', 'pids', 'froms', 'heads', 'infos'];

/**
 * Rows have numbers (`first` … `next` - 1) that grow with each line that comes, and shrink at the front where older lines
 * are put. When it is full, the oldest go. Columns instead of one object per row: 200,000 rows cost some 7 MB beside
 * their text.
 */
export class Lines {
  constructor(limit = 200000, limitChars = 64 << 20) {
    this.limit = limit;
    this.limitChars = limitChars;
    this.sources = []; // {watcher, wid, stream, lines, levels}: who wrote, with what is held of it
    this.byName = new Map();
    this.version = 0; // grows when rows get other numbers
    this.errors = 0; // how many have come in all
    this.clear();
  }

  clear() {
    this.size = FIRST_SIZE;
    this.first = FIRST_ROW;
    this.next = FIRST_ROW;
    this.chars = 0;
    this.texts = new Array(this.size);
    this.times = new Float64Array(this.size);
    this.numbers = new Float64Array(this.size);
    this.pids = new Uint32Array(this.size);
    this.froms = new Uint32Array(this.size); // index in `sources`
    this.heads = new Uint32Array(this.size); // how many rows before it is what it belongs to
    this.infos = new Uint8Array(this.size);
    this.styles = new Map(); // rows that begin in a colour that an earlier line left on
    this.traces = new Map(); // by row of its first line: how many lines belong to it
    for (const source of this.sources) Object.assign(source, fresh());
    this.version += 1;
  }

  // kind 2 bits, level 3
  kind(row) { return this.infos[row % this.size] & 3; }
  level(row) { return this.infos[row % this.size] >> 2; }
  source(row) { return this.sources[this.froms[row % this.size]]; }
  stream(row) { return this.source(row).stream; }
  wid(row) { return this.source(row).wid; }
  text(row) { return this.texts[row % this.size]; }
  time(row) { return this.times[row % this.size]; }
  number(row) { return this.numbers[row % this.size]; }
  pid(row) { return this.pids[row % this.size]; }
  missing(row) { return this.pids[row % this.size]; }
  style(row) { return this.styles.get(row) || plain; }
  /** The row that this one belongs to, as a frame does to its error; itself for most. */
  head(row) { return row - this.heads[row % this.size]; }
  get count() { return this.next - this.first; }

  /** The index of who writes: made when it is first asked for. */
  from(watcher, wid, stream) {
    const name = `${stream}.${wid}.${watcher}`;
    let index = this.byName.get(name);
    if (index === undefined) {
      index = this.sources.length;
      this.sources.push({ watcher, wid, stream, ...fresh() });
      this.byName.set(name, index);
    }
    return index;
  }

  /** A line of a process. */
  line(from, pid, number, time, text) {
    const source = this.sources[from];
    const last = source.end;
    const begins = last.pid === pid ? last.style : plain;
    const coloured = hasEscapes(text);
    const bare = headOf(text, coloured);
    let level = levelOf(bare);
    const row = this.push(LINE, from, level, pid, number, time, text);
    if (begins !== plain) this.styles.set(row, begins);
    const ends = coloured || begins !== plain ? after(text, begins) : plain;
    if (last.style !== ends || last.pid !== pid) source.end = { style: ends, pid };
    source.lines += 1;
    const head = source.trace.next(row, bare, pid, level >= 3);
    if (head !== row && head >= this.first && row - head < SPAN) level = this.belongs(row, head);
    else source.levels[level] += 1;
    if (level === 4) this.errors += 1;
    return row;
  }

  /** The row goes on with what begins at `head`, and has its level. */
  belongs(row, head) {
    const at = row % this.size;
    let level = this.level(head);
    if (level === 0) {
      // A line with a stack trace below it has said enough.
      level = 4;
      this.infos[head % this.size] = LINE | (level << 2);
      const { levels } = this.source(head);
      levels[0] -= 1;
      levels[4] += 1;
    }
    this.heads[at] = row - head;
    this.infos[at] = LINE | (level << 2);
    this.traces.set(head, (this.traces.get(head) || 0) + 1);
    return level;
  }

  /** A place where lines of a source are missing: `count` of them from `number` on, and why. */
  gap(from, time, number, count, why) {
    this.push(GAP, from, 0, count, number, time, why);
    this.sources[from].end = { style: plain, pid: 0 };
    this.sources[from].trace = new Trace();
  }

  /** Something that happened to a process, between its lines. */
  event(watcher, wid, time, text, level) {
    this.push(EVENT, this.from(watcher, wid, NO_STREAM), level, 0, 0, time, text);
  }

  push(kind, from, level, pid, number, time, text) {
    while (this.next - this.first >= this.limit || (this.chars > this.limitChars && this.next - this.first > 1)) this.drop();
    if (this.next - this.first === this.size) this.grow();
    const row = this.next;
    this.write(row, kind, from, level, pid, number, time, text);
    this.next += 1;
    return row;
  }

  write(row, kind, from, level, pid, number, time, text) {
    const at = row % this.size;
    this.texts[at] = text;
    this.times[at] = time;
    this.numbers[at] = number;
    this.pids[at] = pid;
    this.froms[at] = from;
    this.heads[at] = 0;
    this.infos[at] = kind | (level << 2);
    this.chars += text.length;
  }

  drop() {
    const row = this.first;
    const at = row % this.size;
    this.chars -= this.texts[at].length;
    this.texts[at] = '';
    if (this.kind(row) === LINE) this.uncount(row);
    if (this.styles.size) this.styles.delete(row);
    if (this.traces.size) this.traces.delete(row);
    this.first += 1;
  }

  uncount(row) {
    const source = this.source(row);
    source.lines -= 1;
    const head = this.head(row);
    if (head === row) source.levels[this.level(row)] -= 1;
  }

  grow(size = Math.min(this.size * 2, this.limit)) {
    for (const name of COLUMNS) {
      const old = this[name];
      const wider = name === 'texts' ? new Array(size) : new old.constructor(size);
      for (let row = this.first; row < this.next; row += 1) wider[row % size] = old[row % this.size];
      this[name] = wider;
    }
    this.size = size;
  }

  /** The first row at that time or later; `next` when there is none. Times grow but for a few milliseconds. */
  rowAt(time) {
    let low = this.first;
    let high = this.next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.time(middle) < time) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** The row of that line, or -1. Numbers of one source grow with the rows, but others stand between them. */
  rowOf(from, number) {
    for (let row = this.next - 1; row >= this.first; row -= 1) {
      if (this.froms[row % this.size] === from && this.kind(row) === LINE && this.number(row) <= number) return this.number(row) === number ? row : -1;
    }
    return -1;
  }

  /**
   * Puts lines that are older than the last one among the others, by their time: `[from, pid, number, time, text]`, oldest
   * first; with GAP as a sixth, `pid` says how many are missing from that number on. With `front` they stand before all
   * others, as far as there is room. With `instead`, the gap in that row is gone, and the oldest lines go where there is no
   * room. Returns `{at, by}`: rows before `at` have numbers that are smaller by `by`.
   */
  insert(records, { instead = -1, front = false } = {}) {
    if (instead >= 0) while (this.count + records.length - 1 > this.limit && this.first < instead) this.drop();
    const room = this.limit - this.count + (instead >= 0 ? 1 : 0);
    const fits = records.slice(Math.max(0, records.length - room));
    if (!fits.length) return { at: this.first, by: 0 };
    const by = fits.length - (instead >= 0 ? 1 : 0);
    let end = front ? this.first : this.rowAt(fits[fits.length - 1][3] + 0.0005);
    let begin = Math.min(end, this.rowAt(fits[0][3]));
    if (instead >= 0) { begin = Math.min(begin, instead); end = Math.max(end, instead + 1); }
    while (this.size < this.count + by) this.grow();
    const merged = byTime(this.taken(begin, end, instead), fits, instead);
    for (const name of ['styles', 'traces']) {
      this[name] = new Map([...this[name]].filter(([row]) => row < begin || row >= end).map(([row, value]) => [row < begin ? row - by : row, value]));
    }
    for (let row = this.first; row < begin; row += 1) {
      for (const name of COLUMNS) this[name][(row - by) % this.size] = this[name][row % this.size];
    }
    this.first -= by;
    this.rewrite(merged, begin, end, by);
    this.version += 1;
    return { at: begin, by };
  }

  /** What stands in those rows, but for a gap that goes. */
  taken(begin, end, gap) {
    const rows = [];
    for (let row = begin; row < end; row += 1) {
      const at = row % this.size;
      this.chars -= this.texts[at].length;
      if (row === gap) continue;
      rows.push({ row, head: this.head(row), time: this.times[at], number: this.numbers[at], pid: this.pids[at], from: this.froms[at], info: this.infos[at], text: this.texts[at], style: this.styles.get(row), frames: this.traces.get(row) });
    }
    return rows;
  }

  rewrite(merged, begin, end, by) {
    const places = new Map(); // old rows to new ones
    const moved = (row) => (row >= end ? row : row < begin ? row - by : places.get(row) ?? row);
    const scouts = new Map(); // by source: the traces and colours of what is new
    let row = begin - by;
    for (const one of merged) {
      if (Array.isArray(one)) this.writeNew(row, one, scouts);
      else {
        places.set(one.row, row);
        this.write(row, one.info & 3, one.from, one.info >> 2, one.pid, one.number, one.time, one.text);
        if (one.head !== one.row) this.heads[row % this.size] = row - moved(one.head);
        if (one.style) this.styles.set(row, one.style);
        if (one.frames) this.traces.set(row, one.frames);
      }
      row += 1;
    }
    // What stands further on may belong to something that has moved.
    for (row = end; row < Math.min(end + SPAN, this.next); row += 1) {
      const head = this.head(row);
      if (head < end) this.heads[row % this.size] = row - moved(head);
    }
  }

  writeNew(row, [from, pid, number, time, text, kind = LINE], scouts) {
    if (kind === GAP) { this.write(row, GAP, from, 0, pid, number, time, text); return; }
    const source = this.sources[from];
    let scout = scouts.get(from);
    if (!scout) { scout = { trace: new Trace(), style: plain, pid }; scouts.set(from, scout); }
    const coloured = hasEscapes(text);
    const bare = headOf(text, coloured);
    const begins = scout.pid === pid ? scout.style : plain;
    const level = levelOf(bare);
    this.write(row, LINE, from, level, pid, number, time, text);
    if (begins !== plain) this.styles.set(row, begins);
    scout.style = coloured || begins !== plain ? after(text, begins) : plain;
    scout.pid = pid;
    source.lines += 1;
    const head = scout.trace.next(row, bare, pid, level >= 3);
    if (head !== row && row - head < SPAN) this.belongs(row, head);
    else source.levels[level] += 1;
  }
}

/** The beginning of a line without its colours. */
function headOf(text, coloured) {
  const head = text.length > HEAD ? text.slice(0, HEAD) : text;
  return coloured ? strip(head) : head;
}

/** Rows as `taken` gives them and new records, in the order of their times; at the same time, what stood before `middle` comes first. */
function byTime(rows, records, middle) {
  const merged = [];
  let next = 0;
  for (const row of rows) {
    while (next < records.length && (records[next][3] < row.time || (records[next][3] === row.time && row.row > middle))) merged.push(records[next++]);
    merged.push(row);
  }
  for (; next < records.length; next += 1) merged.push(records[next]);
  return merged;
}

function fresh() {
  return { lines: 0, levels: [0, 0, 0, 0, 0], end: { style: plain, pid: 0 }, trace: new Trace() };
}
