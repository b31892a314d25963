// Parts that more than one page has: a watcher's state in words, buttons that act, and the error that stands after one.

import { useRef } from '../vendor/hooks.js';
import { visible } from './ansi.js';
import { inZone, wait, word as quoted } from './format.js';
import { html, icon, state } from './shapes.js';
import { act, barred, dismiss, isBusy, lineFor, rowNamed } from './commands.js';
import { isLive, needsYou, now, shape, shapeOfProcess, store } from './store.js';
import { base } from './page.js';
import { going, healthWord, processWord, say, verbs } from './words.js';

/** Shape and word of a watcher: the wire's word, and what differs after a comma. */
export function watcherState(watcher) {
  const kind = shape(watcher.state);
  const { job } = watcher;
  const doing = job && going[job.command];
  const detail = watcher.detail || '';
  // That it has ended by itself says more than "stopped".
  const said = watcher.status === 'stopped' && ['completed', 'exited'].includes(watcher.state) ? processWord[watcher.state] : watcher.status;
  let word = detail ? `${said}, ${detail}` : said;
  // What it is at says more than "active", and what differs still stands after it.
  if (doing && detail.startsWith(doing)) word = detail;
  else if (doing && watcher.status === 'active') word = `${doing}${job.total > 1 ? ` ${say.outOf(job.done, job.total)}` : ''}${detail ? `, ${detail}` : ''}`;
  else if (watcher.status === 'active' && watcher.processes.length && watcher.processes.every((process) => process.reason === 'socket')) word = say.waitingFor('socket');
  else if (watcher.schedule && watcher.status === 'active' && watcher.processes.every((process) => process.reason === 'schedule')) word = untilRun(watcher);
  if (watcher.state === 'stopping') {
    const last = Math.max(0, ...watcher.processes.map((process) => process.stop_by || 0));
    if (last > now()) word += `, ${wait(last - now())} left`;
  }
  const next = nextTry(watcher);
  if (kind === 'wait' && next !== null && watcher.processes.length === 1 && watcher.status === 'active') word = `backoff, ${wait(next - now())}`;
  return { kind: job && kind === 'run' ? 'start' : kind, word };
}

/** How long a watcher with a schedule waits for its next run. */
function untilRun({ state: told, schedule: { next } }) {
  const left = wait(Math.max(0, next - now()));
  return next ? (told === 'exited' ? say.failedNextIn : say.nextIn)(left) : say.noNextRun;
}

/** Says a sentence that stands on the page already, when it changes: not when the page is opened, nor with a countdown in it. */
export function Spoken({ text }) {
  const first = useRef(text);
  if (text !== first.current) first.current = null;
  return html`<p class="only-heard" aria-live="polite">${first.current === null ? text : ''}</p>`;
}

/** When the next of its processes is tried again, or null. */
export function nextTry(watcher) {
  const times = watcher.processes.map((process) => process.next_try).filter((time) => time !== null && time !== undefined);
  return times.length ? Math.min(...times) : null;
}

export function WatcherState({ watcher }) {
  const { kind, word } = isLive() || store.heard ? watcherState(watcher) : { kind: 'lost', word: say.connecting };
  return state(kind, visible(word));
}

/** The bar of a job that knows how far it is. */
export function progress(job) {
  if (!job || !(job.total > 1)) return null;
  const done = Math.min(1, job.done / job.total);
  return html`<svg class="progress" viewBox="0 0 118 3" preserveAspectRatio="none" aria-hidden="true"><rect class="b" width="118" height="3" rx="1.5" /><rect class="v" width=${118 * done} height="3" rx="1.5" /></svg>`;
}

/** Shape and word of one process, with the seconds to its next try. */
export function processState(process) {
  let word = processWord[process.state] || process.state;
  if (process.state === 'backoff' && process.next_try) word = `backoff, ${wait(process.next_try - now())}`;
  else if (process.state === 'waiting' && process.reason && process.reason !== 'socket') word = say.waitingFor(process.reason);
  else if (process.state === 'stopping' && process.stop_by) word = `${process.replaced ? say.beingReplaced : 'stopping'}, ${wait(process.stop_by - now())} left`;
  else if (['failed', 'exited', 'completed'].includes(process.state) && process.exit) {
    if (process.exit.signal) word += `, signal ${process.exit.signal}`;
    else if (process.exit.code !== null && process.exit.code !== undefined) word += `, exit ${process.exit.code}`;
    else if (process.exit.stage) word += `, ${process.exit.stage}`;
  }
  if (process.state === 'frozen') word = `${word}${process.thaw_at ? `, ${wait(Math.max(0, process.thaw_at - now()))} left` : ''}`;
  else if (process.awaits && !process.reason) word = `${say.notReady}${process.ready_by ? `, ${wait(Math.max(0, process.ready_by - now()))} left` : ''}`;
  else if (process.awaits) word = process.reason;
  const known = process.health && healthWord[process.health.state];
  if (known) word = known;
  if (process.side) word += `, ${process.side}`;
  return state(shapeOfProcess(process), word);
}

/**
 * A button that does a command of the table to a watcher; `given` is what it takes besides. While the daemon is at it, it
 * is busy; what the person may not do stays focusable and says why. With `bare`, only its picture is shown where there is
 * room for a pointer.
 */
export function Do({ what, watcher, given, label, picture, bare, small, keys, grave, main, tab }) {
  const row = rowNamed(what);
  const why = barred(what, watcher, given);
  const busy = isBusy(watcher, what);
  const word = label || verbs[what];
  const key = keys && row.key;
  const classes = ['btn', small && 'small', bare && 'icon', grave && 'grave', main && 'main'].filter(Boolean).join(' ');
  return html`<button class=${classes} type="button" data-ctl=${lineFor(what, watcher, given)} data-what=${what}
    aria-disabled=${why ? 'true' : undefined} aria-busy=${busy ? 'true' : undefined} title=${why || (small ? word : undefined)} tabindex=${tab}
    aria-label=${bare || small ? `${word}: ${watcher.name}` : undefined} aria-keyshortcuts=${key || undefined}
    onClick=${(event) => { event.stopPropagation(); if (!why) act(what, watcher, given); }}>
    ${icon(picture || row.icon || 'chev')}<span class=${bare ? 'word' : 'label'}>${word}</span>${key && html` <kbd>${key}</kbd>`}</button>`;
}

/** What went wrong, where the action was, until it is dismissed. */
export function Note({ watcher }) {
  const note = store.notes.get(watcher.name);
  if (!note) return null;
  return html`<div class="note" role="alert"><span class="st is-fail"><svg class="shape" aria-hidden="true"><use href="#s-fail" /></svg><span>${note.title}</span></span>
    <span class="why">${note.text}${note.hint ? `; ${note.hint}` : ''}${note.id ? html` <code>id ${note.id}</code>` : ''}</span>
    <button class="btn small quiet" type="button" onClick=${() => dismiss(watcher.name)}>${verbs.dismiss}</button></div>`;
}

/**
 * A text as parts, one for each watcher that it names ("NAME: …"): `part(name, text)` makes each, with an empty name for
 * what stands before the first. The name is not in the text.
 */
export function linked(text, names, part) {
  const known = names.filter(Boolean).sort((a, b) => b.length - a.length);
  const found = known.map((name) => ({ name, at: text.indexOf(`${name}:`) })).filter((hit) => hit.at >= 0 && (hit.at === 0 || /\s/.test(text[hit.at - 1])));
  found.sort((a, b) => a.at - b.at);
  const out = [];
  let from = 0;
  let name = '';
  for (const hit of found) {
    if (hit.at < from) continue;
    if (hit.at > from || name) out.push(part(name, text.slice(from, hit.at)));
    name = hit.name;
    from = hit.at + name.length;
  }
  out.push(part(name, text.slice(from)));
  return out;
}

const LATELY = 3600; // seconds

/** Where the report of the last crash of a watcher is; nothing where there was none, or all has been well for an hour. */
export function LastCrash({ watcher }) {
  if (!watcher?.crash || (!needsYou(watcher) && now() - watcher.crash.time > LATELY)) return null;
  return html`<a class="say" href=${`${base}/w/${encodeURIComponent(watcher.name)}?tab=crashes&report=${watcher.crash.id}`} data-ctl=${`circusctl crash ${quoted(watcher.name)} ${watcher.crash.id}`}>${say.lastCrash}<span class="only-heard"> ${visible(watcher.name)}</span></a>`;
}

/** A sentence of the daemon's, in which the time to the next try, or what is left to become ready, goes on counting. */
export function counted(text, watcher) {
  const next = watcher ? nextTry(watcher) : null;
  const by = watcher && watcher.processes.find((process) => process.awaits && process.ready_by)?.ready_by;
  const look = watcher?.needs?.find((need) => need.next)?.next;
  const found = (next !== null && /\bit is tried again in [\d.]+ (?:s|min|h)\b/.exec(text)) || (by && /\bhas [\d.]+ (?:s|min|h) left\b/.exec(text)) || (look && /\bnext in [\d.]+ (?:s|min|h)\b/.exec(text));
  if (!found && watcher?.schedule?.next) return text.replace(/next run .+?, in (?:[\d.]+ (?:s|min)|\d+ h \d+|\d+ d \d+ h)\b/, () => say.nextRun(inZone(watcher.schedule.next, now(), watcher.schedule.timezone), wait(Math.max(0, watcher.schedule.next - now()))));
  if (!found) return text;
  const left = (at) => wait(Math.max(0, at - now())).replace(' ', '\u00a0');
  return html`${text.slice(0, found.index)}<span class="now">${found[0].startsWith('next') ? say.askedIn(left(look)) : found[0].startsWith('has') ? say.hasLeft(left(by)) : say.triedAgain(left(next))}</span>${text.slice(found.index + found[0].length)}`;
}
