// A search on the server: through all that circusd keeps, and the log files, whatever of it is in the page.

import { useEffect, useRef } from '../vendor/hooks.js';
import { call } from './commands.js';
import { bytes, count, word } from './format.js';
import { html, icon, mark } from './shapes.js';
import { Lines } from './lines.js';
import { LogView, plainLook } from './logview.js';
import { parse, Pattern } from './match.js';
import { colourOf, dayOf, dayWord, habits, lineClock } from './query.js';
import { Sieve } from './sieve.js';
import { read, verbs } from './words.js';

const MATCHES = 1000; // in one reply

/** How the daemon is told which watchers are meant: it takes one name or pattern. */
function named(watchers) {
  if (!watchers) return {};
  if (watchers.length === 1) return { name: watchers[0], match: 'simple' };
  return { name: `^(?:${watchers.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|')})$`, match: 'regex' };
}

/** A search that goes on, or has ended. */
export class Finding {
  constructor(watchers, query, changed) {
    const parsed = parse(query.q || query.find, query.exact);
    this.pattern = new Pattern({ ...parsed, inverse: false });
    this.changed = changed;
    this.lines = new Lines();
    this.ids = new Map(); // by row
    this.state = 'busy';
    this.problem = '';
    this.matches = 0;
    this.read = 0;
    this.unsearched = [];
    this.notes = [];
    this.older = null;
    this.key = crypto.randomUUID?.() || String(Math.random());
    this.asked = {
      ...(parsed.regex === null ? { text: parsed.text } : { pattern: parsed.regex }),
      ignore_case: parsed.regex === null ? !query.exact : parsed.flags.includes('i'), invert: parsed.inverse,
      ...named(watchers), before: query.before, after: query.after, files: true, limit: MATCHES, key: this.key,
      ...(query.streams.every(Boolean) ? {} : { stream: query.streams[0] ? 'stdout' : 'stderr' }),
    };
    /** What circusctl would be told. */
    this.line = `circusctl grep${this.asked.text === undefined ? '' : ' --fixed'}${this.asked.ignore_case ? ' --ignore-case' : ''}${this.asked.invert ? ' --invert-match' : ''} --files ${word(this.asked.text ?? this.asked.pattern)}${watchers?.length === 1 ? ` ${word(watchers[0])}` : ''}`;
    this.run();
  }

  async run(cursor) {
    this.state = 'busy';
    this.changed();
    try {
      const reply = await call('grep', { ...this.asked, ...(cursor && { cursor }) });
      if (this.state === 'cancelled') return;
      this.take(reply);
      this.state = 'done';
    } catch (error) {
      if (this.state === 'cancelled') return;
      this.state = 'failed';
      this.problem = error.message;
    }
    this.changed();
  }

  take(reply) {
    const records = reply.lines.map((line) => [this.lines.from(line.watcher, line.wid || 0, line.stream === 'stderr' ? 1 : 0), line.pid || 0, line.number || 0, line.time || 0, line.text]);
    if (this.lines.count) this.lines.insert(records, { front: true });
    else for (const record of records) this.lines.line(...record);
    this.matches += reply.matches;
    this.read += reply.searched?.bytes || 0;
    this.older = reply.more === false ? null : reply.older;
    this.unsearched = reply.unsearched || [];
    this.notes = reply.notes || [];
  }

  more() { if (this.older && this.state !== 'busy') this.run(this.older); }

  /** It ends, also where it is carried out. */
  cancel() {
    if (this.state === 'busy') call('grep', { key: this.key, limit: 0 }).catch(() => {});
    this.state = 'cancelled';
    this.changed();
  }

  close() {
    this.cancel();
    this.pattern.close();
    this.changed = () => {};
  }
}

/** What a search has found; `onLine(row)` when somebody wants to see a line where it stands. */
export function Found({ finding, named: isNamed, onLine, onClose }) {
  const scroller = useRef();
  const view = useRef();
  useEffect(() => {
    const look = { ...plainLook(), clock: lineClock, day: dayOf, dayWord, named: isNamed, wrap: habits.wrap, colour: (source) => colourOf(source.watcher), patterns: finding.pattern.inverse ? [] : [[finding.pattern, '']] };
    view.current = new LogView(scroller.current, finding.lines, new Sieve(finding.lines), look);
    return () => view.current.destroy();
  }, [finding]);
  useEffect(() => {
    view.current.schedule();
  });
  const { state, matches, read: size, older, unsearched, notes } = finding;
  const pick = (event) => { const row = view.current.rowOf(event.target); if (row >= 0) onLine(row); };
  const [figure, unit] = bytes(size);
  return html`<section class="found" aria-label=${read.foundInHistory} data-ctl=${finding.line}><header>
      <b role="status">${state === 'busy' ? read.searching : read.found(count(matches), matches !== 1)}</b>
      ${size > 0 && html`<span class="dim">${read.searched(`${figure} ${unit}`)}</span>`}${state === 'cancelled' && html`<span class="dim">${read.cancelled}</span>`}
      ${finding.problem && html`<span class="st is-fail" role="alert">${mark('fail')}<span>${finding.problem}</span></span>`}
      ${unsearched.length > 0 && html`<span class="st is-wait" title=${unsearched.map((one) => `${one.file}: ${one.reason}`).join('\n')}>${mark('wait')}<span>${read.unsearched(count(unsearched.length), unsearched.length !== 1)}</span></span>`}
      ${notes.map((note) => html`<span class="dim">${note}</span>`)}
      <span class="grow"></span>
      ${state === 'busy' ? html`<button class="btn small" type="button" onClick=${() => finding.cancel()}>${icon('stop')}${verbs.cancel}</button>`
      : older && html`<button class="btn small" type="button" onClick=${() => finding.more()}>${read.searchOlder}</button>`}
      <button class="btn small" type="button" onClick=${onClose}>${verbs.close} <kbd>Esc</kbd></button></header>
    <div class=${`log ${isNamed ? '' : 'one'} ${habits.wrap ? 'wrap' : ''} ${habits.compact ? 'compact' : ''}`} role="log" aria-live="off" aria-label=${read.foundInHistory} tabindex="0" ref=${scroller} onClick=${pick}></div>
    ${state !== 'busy' && !matches && html`<div class="blank"><p>${read.foundNothing}</p></div>`}</section>`;
}
