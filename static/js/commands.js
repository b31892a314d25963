// Commands: one POST each, with what the command line would say. Nothing is claimed before the daemon has answered.

import { base, may, page } from './page.js';
import { isLive, store, touch } from './store.js';
import { word } from './format.js';
import { say } from './words.js';

export class CommandError extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.code = problem.code || '';
    this.hint = problem.hint || '';
    this.id = problem.id || '';
    this.field = problem.field || '';
    this.status = status;
  }
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
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new CommandError(told, answer.status);
  return told;
}

const isPattern = (name) => /[*?[\]]/.test(name);
const exact = (name) => (isPattern(name) ? ' --match simple' : '');

/**
 * What a person can do to a watcher: the command with its properties, the role it needs, its line for the shell, and
 * why it can't be done now (empty when it can).
 */
export const actions = {
  start: {
    command: 'start', role: 'operator', icon: 'start',
    properties: (w) => ({ name: w.name, match: 'simple' }),
    line: (w) => `circusctl start ${word(w.name)}${exact(w.name)} --waiting`,
  },
  stop: {
    command: 'stop', role: 'operator', icon: 'stop',
    properties: (w) => ({ name: w.name, match: 'simple' }),
    line: (w) => `circusctl stop ${word(w.name)}${exact(w.name)} --waiting`,
  },
  restart: {
    command: 'restart', role: 'operator', icon: 'restart',
    properties: (w) => ({ name: w.name, match: 'simple' }),
    line: (w) => `circusctl restart ${word(w.name)}${exact(w.name)} --waiting`,
  },
  reload: {
    command: 'reload', role: 'operator', icon: 'reload',
    properties: (w) => ({ name: w.name }),
    line: (w) => `circusctl reload ${word(w.name)} --waiting`,
  },
  more: {
    command: 'incr', role: 'operator', icon: 'plus',
    properties: (w) => ({ name: w.name, nb: 1 }),
    line: (w) => `circusctl incr ${word(w.name)} --waiting`,
    barred: (w) => (w.singleton ? say.isSingleton : ''),
  },
  less: {
    command: 'decr', role: 'operator', icon: 'minus',
    properties: (w) => ({ name: w.name, nb: 1 }),
    line: (w) => `circusctl decr ${word(w.name)} --waiting`,
    barred: (w) => (w.numprocesses < 1 ? say.noFewer : ''),
  },
  scale: {
    command: 'set', role: 'operator', icon: 'plus',
    properties: (w, number) => ({ name: w.name, options: { numprocesses: number } }),
    line: (w, number) => `circusctl set ${word(w.name)} numprocesses ${number} --waiting`,
  },
  replace: {
    command: 'kill', role: 'operator', icon: 'restart',
    properties: (w, pid) => ({ name: w.name, pid }),
    line: (w, pid) => `circusctl kill ${word(w.name)} ${pid} --waiting`,
  },
};

/** Why this can't be done now, in words; empty when it can. */
export function barred(name, watcher) {
  const action = actions[name];
  if (!may(action.role)) return say.mayNot(page.person || say.somebody, page.role, action.role);
  if (!isLive()) return say.notWhileNotLive;
  return action.barred ? action.barred(watcher) : '';
}

export function isBusy(watcher, name) {
  return Boolean(store.busy.get(watcher.name)?.has(name));
}

/** Does it and waits for its end. What goes wrong stands at the watcher until it is dismissed. */
export async function act(name, watcher, extra) {
  if (barred(name, watcher) || isBusy(watcher, name)) return;
  const action = actions[name];
  const busy = store.busy.get(watcher.name) || new Set();
  store.busy.set(watcher.name, busy.add(name));
  store.notes.delete(watcher.name);
  touch();
  try {
    await call(action.command, { ...action.properties(watcher, extra), waiting: true });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    store.notes.set(watcher.name, { title: say.failedTo(action.command, watcher.name), text: error.message, hint: error.hint, id: error.id });
  } finally {
    busy.delete(name);
    touch();
  }
}

export function dismiss(name) {
  store.notes.delete(name);
  touch();
}
