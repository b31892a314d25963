// What a person looks for: plain text, /regex/, their opposites. A regular expression runs beside the page and not in it,
// as one that was typed without care can take longer than anybody lives.

const PATIENCE = 1000; // milliseconds for one batch
export const BATCH = 5000; // lines

/**
 * Reads what was typed: null when it is nothing, else `{text, regex, flags, inverse}`. Throws SyntaxError for what is no
 * regular expression.
 */
export function parse(typed, exact = false) {
  let wanted = typed.trim();
  const inverse = wanted.startsWith('!') && wanted.length > 1;
  if (inverse) wanted = wanted.slice(1);
  if (!wanted || wanted === '!') return null;
  const found = /^\/(.+)\/([isu]*)$/s.exec(wanted);
  if (!found) return { text: wanted, regex: null, flags: '', inverse, exact };
  // Compiling is quick, whatever it says.
  const { source, flags } = new RegExp(found[1], found[2]);
  return { text: '', regex: source, flags, inverse, exact };
}

/** The places of a plain text in another one: `[from, to]` each. */
function placesOf(wanted, text, exact) {
  const where = exact ? text : text.toLowerCase();
  const what = exact ? wanted : wanted.toLowerCase();
  const places = [];
  if (where.length !== text.length) return places; // letters that grow in lower case: nothing can be told
  for (let at = where.indexOf(what); at >= 0 && places.length < 200; at = where.indexOf(what, at + what.length)) places.push([at, at + what.length]);
  return places;
}

/** One thing to look for. `close` when it is looked for no more. */
export class Pattern {
  constructor(parsed) {
    Object.assign(this, parsed);
    this.failed = ''; // why it was given up
    this.worker = null;
    this.waiting = new Map();
    this.count = 0;
    if (this.regex === null) {
      const low = this.text.toLowerCase();
      const holds = this.exact ? (text) => text.includes(this.text) : (text) => text.toLowerCase().includes(low);
      /** Whether a text is meant; null where that can only be asked for. */
      this.test = this.inverse ? (text) => !holds(text) : holds;
    } else this.test = null;
  }

  /** Whether each of the texts is meant, as ones and zeros. Rejects when it takes too long. */
  ask(texts) {
    return this.post({ regex: this.regex, flags: this.flags, texts }).then((bits) => (this.inverse ? bits.map((bit) => 1 - bit) : bits));
  }

  /** Where it is found in a text: `[from, to]` each, or null where that can only be asked for. */
  places(text) {
    return this.regex === null ? placesOf(this.text, text, this.exact) : null;
  }

  /** The same for several texts. */
  locate(texts) {
    return this.post({ regex: this.regex, flags: this.flags, texts, where: true });
  }

  post(asked) {
    if (this.failed) return Promise.reject(new Error(this.failed));
    this.worker ||= this.begin();
    this.count += 1;
    const id = this.count;
    return new Promise((done, failed) => {
      const late = setTimeout(() => this.giveUp(), PATIENCE);
      this.waiting.set(id, { done, failed, late });
      this.worker.postMessage({ id, ...asked });
    });
  }

  begin() {
    const worker = new Worker(new URL('./matcher.js', import.meta.url), { type: 'module' });
    worker.onmessage = ({ data: { id, found } }) => {
      const waiting = this.waiting.get(id);
      if (!waiting) return;
      this.waiting.delete(id);
      clearTimeout(waiting.late);
      waiting.done(found);
    };
    worker.onerror = () => this.giveUp();
    return worker;
  }

  giveUp() {
    this.failed = 'late';
    this.close();
  }

  /** Nothing is answered any more: who asks yet, as a frame that was under way, begins no other worker. */
  close() {
    this.failed ||= 'closed';
    this.worker?.terminate();
    this.worker = null;
    for (const { failed, late } of this.waiting.values()) { clearTimeout(late); failed(new Error('late')); }
    this.waiting.clear();
  }
}
