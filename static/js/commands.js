// Commands: one POST each, with what the command line would say. Nothing is claimed before the daemon has answered.

import { base, may, page } from './page.js';
import { rows } from './rows.js';
import { isLive, store, touch } from './store.js';
import { lineOf, propertiesOf } from './tables.js';
import { say } from './words.js';

export class CommandError extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.code = problem.code || '';
    this.hint = problem.hint || '';
    this.id = problem.id || '';
    this.field = problem.field || '';
    this.failed = problem.failed || null; // of several watchers: for each that failed, why
    this.status = status;
  }

  /** Whether it may have been done nevertheless. */
  get isOpen() { return this.status === 0 || this.code === 'timeout' || this.code === 'unavailable'; }
}

/** The ok reply of the daemon; throws CommandError with its reason. */
export function call(command, properties = {}) {
  return post(`${base}/api/v1/${encodeURIComponent(command)}`, properties);
}

/** What the daemon would refuse in these properties, by name of field or option; nothing is done. */
export async function problemsOf(command, properties) {
  return (await post(`${base}/check/${encodeURIComponent(command)}`, properties)).problems;
}

async function post(path, properties) {
  let answer;
  try {
    answer = await fetch(path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': page.csrf },
      body: JSON.stringify(properties),
      cache: 'no-store',
    });
  } catch {
    throw new CommandError({ detail: say.noAnswer }, 0);
  }
  const told = await answer.json().catch(() => null);
  if (!answer.ok) throw new CommandError(told || {}, answer.status);
  // A connection that broke in the middle has answered nothing.
  if (!told) throw new CommandError({ detail: say.noAnswer }, 0);
  return told;
}

const quick = new Map(rows.map((row) => [row.name, row]));
const ORDER = ['start', 'restart', 'reload', 'stop', 'incr', 'decr'];

/** The rows of what can be done to watchers by one press: those that the table gives a picture, in the order of use. */
export const presses = rows.filter((row) => row.icon).sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));

/** The row of what can be done to watchers, by its name; as the table has it, without its help. */
export const rowNamed = (name) => quick.get(name);

// Why watchers, as they are, can't take it; empty where they can.
const hindered = {
  incr: (watcher) => (watcher.singleton ? say.isSingleton : ''),
  decr: (watcher) => (watcher.numprocesses < 1 ? say.noFewer : ''),
  set: (watcher, given) => (given?.options?.numprocesses !== undefined && watcher.singleton ? say.isSingleton : ''),
};

/** What the form of the row would hold for that watcher: its name as it stands, and what is given besides. */
function heldFor(watcher, given) {
  return { name: watcher.name, ...(/[*?[\]]|^@/.test(watcher.name) ? { match: 'simple' } : {}), ...given };
}

/** The line for the shell that does the same to one watcher. */
export function lineFor(name, watcher, given) {
  return lineOf(quick.get(name), heldFor(watcher, given));
}

/** Why this person can't do it to anything now, in words; empty when he can. */
export function mayNot(role) {
  if (!may(role)) return say.mayNot(page.person || say.somebody, page.role, role);
  return isLive() ? '' : say.notWhileNotLive;
}

/** Why this can't be done to the watcher now, in words; empty when it can. */
export function barred(name, watcher, given) {
  return mayNot(quick.get(name).role) || hindered[name]?.(watcher, given) || '';
}

export function isBusy(watcher, name) {
  return Boolean(store.busy.get(watcher.name)?.has(name));
}

/** Does it and waits for its end. What goes wrong stands at the watcher until it is dismissed. */
export async function act(name, watcher, given) {
  if (barred(name, watcher, given) || isBusy(watcher, name)) return;
  const row = quick.get(name);
  const busy = store.busy.get(watcher.name) || new Set();
  store.busy.set(watcher.name, busy.add(name));
  store.notes.delete(watcher.name);
  touch();
  try {
    await call(name, propertiesOf(row, heldFor(watcher, given)));
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    store.notes.set(watcher.name, { title: say.failedTo(name, watcher.name), text: error.message, hint: error.hint, id: error.id });
  } finally {
    busy.delete(name);
    touch();
  }
}

export function dismiss(name) {
  store.notes.delete(name);
  touch();
}
