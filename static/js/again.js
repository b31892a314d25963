// Watchers that were removed, kept for a while: with all that they were, they can be added again.

import { call } from './commands.js';
import { optionText } from './fields.js';
import { isStopped } from './store.js';
import { loadTables, tables } from './tables.js';
import { targetOf } from './view.js';
import { say } from './words.js';

export const AGAIN = 60_000; // milliseconds for which they are kept

const TERM = 15; // the daemon tells signals by their numbers, and the table names them

function isStandard(option, value) {
  const text = optionText(option, value);
  if (option.widget === 'signal' && value === TERM) return option.default === 'SIGTERM';
  return text === option.default || (text !== '' && option.default !== '' && Number(text) === Number(option.default));
}

/** What was given of these options: those that are not as they would be anyway. The original's second form of streams is left out. */
function given(options) {
  const rows = new Map(tables.sections.watcher.map((row) => [row.name, row]));
  return Object.fromEntries(Object.entries(options).filter(([key, value]) => {
    if (value === null || key === 'name' || key === 'env_file' || key.endsWith('_stream_conf')) return false;
    return !rows.has(key) || !isStandard(rows.get(key), value);
  }));
}

/** Everything that adding these watchers again needs, as it is now. Throws CommandError, or an Error where the tables do not come. */
export async function kept(watchers) {
  await loadTables();
  if (!tables.ready) throw new Error(say.noTables(tables.problem));
  const reply = await call('options', targetOf(watchers));
  return watchers.map((watcher) => ({ name: watcher.name, start: !isStopped(watcher), options: reply.results ? reply.results[watcher.name]?.options : reply.options }))
    .filter((one) => one.options).map((one) => ({ ...one, options: given(one.options) }));
}

/** Adds them, one after another; what went wrong, by name. */
export async function addAgain(list) {
  const failed = {};
  for (const { name, start, options: { cmd, ...options } } of list) {
    try { await call('add', { name, cmd, start, options, waiting: true }); } catch (error) { failed[name] = error.message; }
  }
  return failed;
}
