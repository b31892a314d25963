// Which lines belong to the line before them: the frames of a stack trace, and what stands around them.

// What begins or goes on with a trace at the left edge, and frames, which are indented. Looked for only where the first
// letter allows it: most lines of most programs are neither.
const PYTHON = /^Traceback \(most recent call last\):/;
const CHAINED = /^(?:During handling of the above exception|The above exception was the direct cause)/;
const CAUSE = /^(?:Caused by: |Suppressed: |\.\.\. \d+ (?:more|common frames))/;
const GO = /^(?:goroutine \d+ \[|created by )/;
const GO_CALL = /^[\w./*-]+(?:\.\(\*?\w+\))?[\w.]*\(.*\)$/;
const RUST = /^stack backtrace:/;
const FRAME = /^\s+(?:at\s|File "|\.\.\. \d+ |from \S+:\d+|\d+: +\S|in \S+ \()/;

const CLOSED = 0;
const OPEN = 1; // indented lines go on with it
const IN_PYTHON = 2; // the message has not come yet
const AFTER_PYTHON = 3; // it has; another trace may follow

/** What one source wrote last, as far as it matters: give each of its lines to `next`. */
export class Trace {
  constructor() {
    this.pid = 0;
    this.mode = CLOSED;
    this.head = -1; // the row that the open trace belongs to
    this.last = -1; // the last row that could be the head of one
  }

  /** The row that this one belongs to; itself where it begins something of its own. */
  next(row, text, pid, worth) {
    if (pid !== this.pid) { this.pid = pid; this.mode = CLOSED; this.last = -1; }
    const first = text.charCodeAt(0); // NaN for an empty line
    if (this.mode !== CLOSED && this.goesOn(text, first)) return this.head;
    this.mode = this.begins(text, first);
    if (this.mode === CLOSED) {
      if (text) { this.last = row; this.worth = worth; }
      return row;
    }
    // Loggers write the message first; a trace that nobody announced is its own head.
    this.head = this.last >= 0 && (this.mode !== IN_PYTHON || this.worth) ? this.last : row;
    this.last = -1;
    return this.head;
  }

  begins(text, first) {
    if (first === 84) return PYTHON.test(text) ? IN_PYTHON : CLOSED; // T
    if (first === 32 || first === 9) return FRAME.test(text) ? OPEN : CLOSED;
    if (first === 67 || first === 83 || first === 46) return this.last >= 0 && CAUSE.test(text) ? OPEN : CLOSED; // C S .
    if (first === 103) return GO.test(text) ? OPEN : CLOSED; // g
    return first === 115 && RUST.test(text) ? OPEN : CLOSED; // s
  }

  goesOn(text, first) {
    if (first === 32 || first === 9) return this.mode !== AFTER_PYTHON;
    if (this.mode === IN_PYTHON) {
      if (text && !PYTHON.test(text)) this.mode = AFTER_PYTHON;
      return true;
    }
    if (this.mode === AFTER_PYTHON) {
      if (text && !CHAINED.test(text) && !PYTHON.test(text)) return false;
      if (text && PYTHON.test(text)) this.mode = IN_PYTHON;
      return true;
    }
    return CAUSE.test(text) || GO.test(text) || GO_CALL.test(text);
  }
}
