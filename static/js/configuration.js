// The configuration and what differs from it: a save and a reload, each shown before it is done, and the way back.

import { useState } from '../vendor/hooks.js';
import { stamp } from './format.js';
import { html, icon, mark } from './shapes.js';
import { visible } from './ansi.js';
import { isLive, now, store } from './store.js';
import { call, CommandError } from './commands.js';
import { NotAsked, useAsked } from './asked.js';
import { may, page } from './page.js';
import { daemon as words, say, verbs } from './words.js';

const EVERY = 60; // seconds: files are read for it
const CHANGES = /^(watcher\.(updated|added|removed|scaled)|socket\.|daemon\.reloaded)/;
const SIGNS = { '+': 'come', '-': 'go', '@': 'at' };

/** A unified difference; what comes and goes has its sign, its colour, and is counted for who can't see either. */
export function Diff({ text }) {
  const lines = text.split('\n').filter((line) => line && !line.startsWith('---') && !line.startsWith('+++'));
  const number = (sign) => lines.filter((line) => line[0] === sign).length;
  return html`<p class="only-heard">${words.gone(number('-'))}, ${words.come(number('+'))}</p><pre class="diff" tabindex="0" aria-label=${words.difference}>${lines.map((line) => html`<span class=${SIGNS[line[0]] || ''}>${visible(line)}\n</span>`)}</pre>`;
}

const MARKS = { add: 'plus', open: 'plus', remove: 'minus', close: 'minus' };

function Plan({ reply }) {
  return html`${reply.warnings?.length > 0 && html`<ul class="warn">${reply.warnings.map((text) => html`<li class="is-wait">${mark('wait')}<span>${visible(text)}</span></li>`)}</ul>`}
    ${reply.plan.length === 0 ? html`<p>${words.nothingToReload}</p>` : html`<ul class="plan-of">${reply.plan.map((step) => html`<li data-action=${step.action}>${icon(MARKS[step.action] || 'reload')}<span>${visible(step.text)}</span><small class="dim">${words.steps[step.action] || step.action}</small></li>`)}</ul>`}
    ${reply.kept?.length > 0 && html`<h3>${words.kept}</h3><ul class="plan-of">${reply.kept.map((step) => html`<li>${icon('none')}<span>${visible(step.text)}</span></li>`)}</ul>`}`;
}

function Changes({ reply }) {
  return html`${reply.diff ? html`<${Diff} text=${reply.diff} />` : html`<p>${words.nothingToSave}</p>`}
    ${reply.left?.length > 0 && html`<h3>${words.notSaved}</h3><ul class="plan-of">${reply.left.map((text) => html`<li>${icon('none')}<span>${visible(text)}</span></li>`)}</ul>`}`;
}

/** Each of what can be done here: the command with what it is given, the words, and the line for the shell. */
const WAYS = {
  save: { command: 'save', given: {}, title: words.difference, go: words.write, line: 'circusctl save', done: (reply) => words.written(reply.files.join(', ')), shows: Changes, isEmpty: (reply) => !reply.diff },
  force: { command: 'save', given: { force: true }, title: words.difference, go: words.write, line: 'circusctl save --force', done: (reply) => words.written(reply.files.join(', ')), shows: Changes, isEmpty: (reply) => !reply.diff },
  undo: { command: 'save', given: { undo: true }, title: words.difference, go: words.undoIt, line: 'circusctl save --undo', done: (reply) => words.undone(reply.files.join(', ')), shows: Changes, isEmpty: (reply) => !reply.diff },
  reload: { command: 'reloadconfig', given: {}, title: words.plan, go: words.applyReload, line: 'circusctl reloadconfig --waiting', done: (reply) => words.reloaded(reply.summary || ''), shows: Plan, isEmpty: (reply) => !reply.plan.length },
};

function Drift({ told }) {
  const { changes, on_disk: onDisk, problems } = told;
  return html`${!changes.length && !onDisk && html`<p class="st is-run">${mark('run')}<span class="word">${words.inStep}</span></p>`}
    ${changes.length > 0 && html`<div data-drift="run-time"><p class="st is-start">${mark('start')}<span>${words.drifted(changes.length)}</span></p><ul class="drifts">${changes.map((text) => html`<li dir="auto">${visible(text)}</li>`)}</ul></div>`}
    ${onDisk && html`<div data-drift="disk"><p class="st is-wait">${mark('wait')}<span>${problems.length ? words.wrongOnDisk : words.onDisk}</span></p>${problems.length > 0 && html`<ul class="drifts">${problems.map((text) => html`<li>${visible(text)}</li>`)}</ul>`}</div>`}`;
}

export function Configuration({ files }) {
  const { reply, error, ask } = useAsked('drift', {}, EVERY, store.events.find((event) => CHANGES.test(event.event))?.number);
  const [way, setWay] = useState(''); // whose difference is shown
  const [told, setTold] = useState(null);
  const [busy, setBusy] = useState('');
  const [problem, setProblem] = useState(null);
  const [done, setDone] = useState('');
  const why = may('admin') ? (isLive() ? '' : say.notWhileNotLive) : say.mayNot(page.person || say.somebody, page.role, 'admin');
  const run = async (name, more) => {
    if (why || busy) return;
    const { command, given } = WAYS[name];
    setBusy(`${name}${more.dry_run ? '?' : '!'}`);
    setProblem(null);
    setDone('');
    try {
      const answer = await call(command, { ...given, ...more });
      setWay(more.dry_run ? name : '');
      setTold(more.dry_run ? answer : null);
      if (!more.dry_run) setDone(WAYS[name].done(answer));
    } catch (failed) {
      if (!(failed instanceof CommandError)) throw failed;
      setProblem({ name, failed });
      if (!more.dry_run) setWay('');
    } finally {
      setBusy('');
      ask();
    }
  };
  const show = (name) => () => run(name, { dry_run: true });
  const go = () => run(way, WAYS[way].command === 'save' ? { digest: told.digest } : { waiting: true });
  const button = (name, text, picture) => html`<button class="btn" type="button" id=${`show-${name}`} data-ctl=${`${WAYS[name].line} --dry-run`} aria-disabled=${why ? 'true' : undefined} title=${why || undefined} aria-busy=${busy === `${name}?` ? 'true' : undefined} onClick=${show(name)}>${icon(picture)}${text}</button>`;
  const last = reply?.last_save;
  const Shown = way && WAYS[way].shows;
  return html`<section class="sheet configuration" aria-labelledby="conf-h" data-ctl="circusctl drift"><header><h2 id="conf-h">${words.configuration}</h2><span class="grow"></span><span class="dim files">${files.map((name) => html`<code dir="auto">${visible(name)}</code>`)}</span></header>
    <div class="blank">${error && html`<${NotAsked} what=${words.configuration} error=${error} ask=${ask} />`}${reply && html`<div role="status" class="drift"><${Drift} told=${reply} /></div>`}
      ${done && html`<p class="st is-run" role="status" id="conf-done">${mark('run')}<span>${visible(done)}</span></p>`}
      ${problem && html`<div class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${say.notDone(WAYS[problem.name].command)}</span></span><span class="why">${visible(problem.failed.message)}${problem.failed.hint ? html`; ${visible(problem.failed.hint)}` : ''}</span>
        ${problem.name === 'save' && problem.failed.code === 'conflict' && html`<button class="btn small" type="button" id="show-force" onClick=${show('force')}>${words.writeOver}</button>`}<button class="btn small quiet" type="button" onClick=${() => setProblem(null)}>${verbs.dismiss}</button></div>`}
      <div class="row">${button('save', words.showSave, 'down')}${button('reload', words.showReload, 'reload')}${last && !last.problem && button('undo', words.undoSave, 'restart')}</div>
      ${last && html`<p class="dim">${words.lastSave(stamp(last.time, now()))}${last.problem ? html`. ${words.cannotUndo(last.problem)}` : ''}</p>`}
    </div>
    ${Shown && told && html`<div class="trial" role="group" aria-labelledby="trial-h"><h3 id="trial-h">${WAYS[way].title}</h3><${Shown} reply=${told} />
      <div class="row">${!WAYS[way].isEmpty(told) && html`<button class="btn main" type="button" id="go" data-ctl=${WAYS[way].line} aria-busy=${busy === `${way}!` ? 'true' : undefined} onClick=${go}>${WAYS[way].go}</button>`}<button class="btn" type="button" onClick=${() => { setWay(''); setTold(null); }}>${words.leave}</button></div></div>`}</section>`;
}
