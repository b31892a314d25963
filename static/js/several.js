// What is done to several watchers at once: the bar of those that are chosen, the question, and what comes of it.

import { useEffect, useReducer, useState } from '../vendor/hooks.js';
import { addAgain, AGAIN, kept } from './again.js';
import { visible } from './ansi.js';
import { call, mayNot, presses, rowNamed } from './commands.js';
import { asksFirst, Confirm } from './confirm.js';
import { count } from './format.js';
import { base, may, page } from './page.js';
import { html, icon, mark } from './shapes.js';
import { needsYou, now, store, touch } from './store.js';
import { commandNamed, lineOf, loadTables, propertiesOf } from './tables.js';
import { chosen, chosenWatchers, isOrdinary, several, targetOf } from './view.js';
import { say, verbs } from './words.js';

const ASK = 400; // milliseconds between two looks at how far it is
const CLEAR = 10_000; // milliseconds after which what went well throughout needs no place any more

const runs = []; // what was begun here, the newest first
let last = 0;

/** Begins it: the daemon gets one request for all of them, whose reply says what became of each. */
async function begin(row, watchers) {
  const given = targetOf(watchers);
  last += 1;
  const run = { id: last, row, given, names: watchers.map((watcher) => watcher.name), line: lineOf(row, given), began: now(), over: false, job: null, failed: {}, same: 0, problem: null, again: null, note: '' };
  runs.unshift(run);
  touch();
  follow(run);
  try {
    if (row.name === 'rm') run.again = await kept(watchers);
    const reply = await call(row.name, propertiesOf(row, given));
    run.same = Object.values(reply.results || {}).filter((one) => one.singleton).length;
  } catch (error) {
    if (error.failed) run.failed = asNamed(error.failed, run.names); else run.problem = error;
  }
  ended(run);
}

/** The same by the names as they are written: the daemon tells some in lower case. */
function asNamed(failed, names) {
  const written = new Map(names.map((name) => [name.toLowerCase(), name]));
  return Object.fromEntries(Object.entries(failed).map(([name, why]) => [written.get(name.toLowerCase()) || name, why]));
}

function ended(run) {
  run.over = true;
  if (run.problem) run.again = null;
  else if (run.again) run.again = run.again.filter((one) => !(one.name in run.failed));
  const well = !run.problem && !Object.keys(run.failed).length;
  // What failed stands until somebody has seen it.
  if (well) setTimeout(() => { if (!illOf(run).length) dismiss(run); }, run.again?.length ? AGAIN : CLEAR);
  touch();
}

function dismiss(run) {
  const at = runs.indexOf(run);
  if (at >= 0) runs.splice(at, 1);
  touch();
}

/** How far it is, as the list of jobs says, until it is over. */
async function follow(run) {
  const target = run.given.name.slice(0, 200);
  while (!run.over) {
    await new Promise((done) => setTimeout(done, ASK));
    const { jobs } = run.over ? { jobs: [] } : await call('jobs').catch(() => ({ jobs: [] }));
    const mine = jobs.filter((job) => job.command === run.row.name && job.by === page.person && job.watcher === target && job.since >= run.began - 2);
    if (mine.length) { run.job = mine[0]; touch(); }
  }
}

async function cancel(run) {
  try {
    const { kept: left } = await call('cancel', { id: run.job.id });
    run.note = Object.entries(left || {}).map(([name, why]) => `${name}: ${why}`).join('; ');
  } catch (error) {
    run.note = error.message;
  }
  touch();
}

async function undo(run) {
  const list = run.again;
  run.again = null;
  run.note = say.addingAgain(list.length);
  touch();
  const failed = await addAgain(list);
  run.note = say.addedAgain(list.length - Object.keys(failed).length);
  run.failed = { ...run.failed, ...failed };
  if (!Object.keys(failed).length) setTimeout(() => dismiss(run), CLEAR);
  touch();
}

function Bar({ run }) {
  const { job } = run;
  const part = job && job.total ? job.done / job.total : 0;
  return html`<svg class="progress" viewBox="0 0 118 3" preserveAspectRatio="none" aria-hidden="true"><rect class="b" width="118" height="3" rx="1.5" /><rect class="v" width=${118 * Math.min(1, part)} height="3" rx="1.5" /></svg>`;
}

/** The watchers that it was done to and that are not well: circusd has done what it was told, and more is not claimed. */
function illOf(run) {
  return run.names.filter((name) => !(name in run.failed) && store.watchers.has(name) && needsYou(store.watchers.get(name)));
}

function howFar(run) {
  if (!run.job) return say.asked(run.names.length);
  const parts = (run.job.parts || []).filter((part) => part.state !== 'waiting');
  return say.doneOf(run.job.done, run.job.total, parts.map((part) => visible(part.watcher)));
}

function Run({ run, redraw }) {
  const bad = Object.entries(run.failed);
  const well = run.names.length - bad.length;
  const ill = illOf(run);
  const state = !run.over ? 'start' : run.problem || bad.length ? 'fail' : ill.length ? 'wait' : 'run';
  const text = !run.over ? howFar(run) : run.problem ? run.problem.message + (run.problem.hint ? `; ${run.problem.hint}` : '') : say.cameOf(well, bad.length, run.same, ill);
  const choose = () => { chosen.clear(); for (const [name] of bad) if (store.watchers.has(name)) chosen.add(name); redraw(); };
  return html`<div class="run" data-ctl=${run.line} data-run=${run.row.name} data-state=${run.over ? (state === 'fail' ? 'error' : 'done') : 'busy'}>
    <div class="told" role="status"><span class=${`st is-${state}`}>${mark(state)}<b>${run.row.name}</b></span><span class="text">${visible(text)}${run.note && html` <span class="dim">${visible(run.note)}</span>`}</span></div>
    ${!run.over && html`<${Bar} run=${run} />`}
    ${bad.length > 0 && html`<ul class="bad" tabindex="0" aria-label=${say.failedOnes}>${bad.slice(0, 100).map(([name, why]) => html`<li><b dir="auto">${visible(name)}</b> <span>${visible(why)}</span></li>`)}</ul>`}
    <div class="row">
      ${!run.over && run.job && html`<button class="btn small" type="button" data-what="cancel" data-ctl=${`circusctl cancel ${run.job.id}`} onClick=${() => cancel(run)}>${say.cancelIt}</button>`}
      ${run.over && run.again?.length > 0 && html`<button class="btn small" type="button" data-what="again" onClick=${() => undo(run)}>${say.addAgain(run.again.length)}</button>`}
      ${run.over && bad.length > 0 && html`<button class="btn small" type="button" onClick=${choose}>${say.chooseFailed(bad.length)}</button>`}
      ${run.over && html`<button class="btn small quiet" type="button" onClick=${() => dismiss(run)}>${verbs.dismiss}</button>`}</div></div>`;
}

/** A button for all that are chosen: what it can't be done to stays as it is, and the result says so. */
function Press({ row, target, label, press }) {
  const why = mayNot(row.role);
  const bare = row.icon && ['incr', 'decr'].includes(row.name);
  return html`<button class=${`btn${bare ? ' icon' : ''}${row.effect === 'destroy' && !row.icon ? ' grave' : ''}`} type="button" data-what=${row.name} data-ctl=${lineOf(row, target)} title=${why || (bare ? label : undefined)} aria-label=${bare ? label : undefined} aria-disabled=${why ? 'true' : undefined}
    aria-keyshortcuts=${row.key || undefined} onClick=${() => { if (!why) press(row.name); }}>${row.icon && icon(row.icon)}${!bare && html`<span class="label">${label}</span>${row.key && html` <kbd>${row.key}</kbd>`}`}</button>`;
}

const FORMS = ['set', 'signal', 'kill']; // what takes more than a name

export function Several({ list, redraw }) {
  const [asked, setAsked] = useState('');
  const [, turn] = useReducer((before) => before + 1, 0);
  const watchers = chosenWatchers();
  useEffect(() => { loadTables(); }, []);
  const press = (name) => {
    const row = rowNamed(name);
    if (!chosenWatchers().length || mayNot(row.role)) return;
    if (asksFirst(row, chosenWatchers())) setAsked(name); else { begin(row, chosenWatchers()); turn(); }
  };
  several.press = press;
  useEffect(() => {
    // A key that was pressed before this was loaded counts.
    if (several.wanted) press(several.wanted);
    several.wanted = '';
    return () => { several.press = null; };
  }, []);
  const clear = () => { chosen.clear(); redraw(); };
  const all = list.filter(isOrdinary);
  const more = all.filter((watcher) => !chosen.has(watcher.name)).length;
  if (!watchers.length && !runs.length) return null;
  const target = watchers.length ? targetOf(watchers) : null;
  const row = asked && watchers.length ? rowNamed(asked) : null;
  return html`<section class="several" aria-label=${say.severalAtOnce}>
    ${runs.map((run) => html`<${Run} key=${run.id} run=${run} redraw=${redraw} />`)}
    ${watchers.length > 0 && html`<div class="picked" role="toolbar" aria-label=${say.doToChosen}><span class="number" role="status"><b>${count(watchers.length)}</b> ${say.areChosen}</span>
      ${more > 0 && html`<button class="btn quiet" type="button" data-all onClick=${() => { for (const watcher of all) chosen.add(watcher.name); redraw(); }}>${say.allShown(all.length)}</button>`}
      <span class="grow"></span><div class="press">
      ${presses.map((one) => html`<${Press} row=${one} target=${target} label=${verbs[one.name]} press=${press} />`)}
      ${FORMS.map((name) => html`<a class="btn" href=${`${base}/c/${name}?chosen=1`} data-ctl=${lineOf(rowNamed(name), target)}>${say.formFor[name]}</a>`)}
      ${may(rowNamed('rm').role) && html`<${Press} row=${rowNamed('rm')} target=${target} label=${say.removeThem} press=${press} />`}
      </div><button class="btn quiet none" type="button" onClick=${clear}>${say.chooseNone} <kbd>Esc</kbd></button></div>`}
    ${row && html`<${Confirm} row=${row} doc=${commandNamed(row.name)?.doc} list=${watchers} line=${lineOf(row, target)} onYes=${() => { setAsked(''); begin(row, watchers); }} onNo=${() => setAsked('')} />`}
  </section>`;
}
