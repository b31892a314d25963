// Where a watcher's output goes: each place with its state, what it has taken and lost; files are put aside by a press.

import { useState } from '../vendor/hooks.js';
import { visible } from './ansi.js';
import { NotAsked, useAsked } from './asked.js';
import { call, CommandError, mayNot } from './commands.js';
import { bytes, count, span, word } from './format.js';
import { base } from './page.js';
import { amount, html, icon, mark, state } from './shapes.js';
import { now } from './store.js';
import { say as common, sinks as words, verbs } from './words.js';

const EVERY = 3;
const SHAPES = { ok: 'run', behind: 'wait', recovering: 'start', dropping: 'fail', failing: 'fail', none: 'rest' };

/** One place, and what became of the output there. */
function Place({ sink }) {
  const figures = [['taken_bytes', words.taken], ['waiting_bytes', words.waiting], ['dropped_bytes', words.dropped]];
  const isLost = (key) => key === 'dropped_bytes' && sink[key] > 0;
  const value = (key) => html`${isLost(key) ? '▲ ' : ''}${amount(bytes(sink[key]))}${key === 'waiting_bytes' && html`<small class="dim"> ${words.of} ${amount(bytes(sink.queue_bytes))}</small>`}`;
  return html`<li class="place">
    <p class="to">${state(SHAPES[sink.state] || 'wait', words.states[sink.state] || sink.state)}<code dir="auto">${sink.place ? visible(sink.place) : words.nowhere}</code></p>
    ${sink.place && html`<p class="dim kind">${sink.name && html`<b>${visible(sink.name)}</b>, `}${sink.class && html`<span dir="auto">${visible(sink.class)}</span>, `}${words.policies[sink.overflow] || sink.overflow}${sink.rotations > 0 && html`, ${words.rotations(count(sink.rotations), sink.rotations === 1)}`}</p>
      <dl class="facts">${figures.map(([key, text]) => html`<div><dt>${text}</dt><dd class=${isLost(key) ? 'is-fail' : ''}>${value(key)}</dd></div>`)}</dl>`}
    ${sink.failing && html`<p class="st is-fail">${mark('fail')}<span>${words.failing}: ${visible(sink.failing)}${sink.since ? html`, <span class="num">${words.since(span(now() - sink.since))}</span>` : ''}</span></p>`}
  </li>`;
}

/** A press that does something to the files, and what came of it. */
function useFiles(name, ask) {
  const [told, setTold] = useState({ busy: '', done: '', problem: null });
  const run = async (command) => {
    if (told.busy || mayNot('operator')) return;
    setTold({ busy: command, done: '', problem: null });
    try {
      const reply = await call(command, { name, match: 'simple' });
      setTold({ busy: '', done: words.done[command](reply[command === 'rotate' ? 'rotated' : 'reopened'], reply.pending), problem: null });
    } catch (problem) {
      if (!(problem instanceof CommandError)) throw problem;
      setTold({ busy: '', done: '', problem: { command, problem } });
    }
    ask();
  };
  return { ...told, run, dismiss: () => setTold({ busy: '', done: '', problem: null }) };
}

export function Sinks({ watcher }) {
  const { name } = watcher;
  const { reply, error, ask } = useAsked('sinks', { name, match: 'simple' }, EVERY);
  const files = useFiles(name, ask);
  const rows = reply?.sinks || [];
  const hasFiles = rows.some((sink) => /FileStream$/.test(sink.class || ''));
  const why = mayNot('operator');
  const press = (command, picture) => html`<button class="btn small" type="button" data-ctl=${`circusctl ${command} ${word(name)}`} title=${why || undefined} aria-disabled=${why ? 'true' : undefined} aria-busy=${files.busy === command ? 'true' : undefined} onClick=${() => files.run(command)}>${icon(picture)}${words.presses[command]}</button>`;
  return html`<section class="sheet outputs" aria-labelledby="st-h" data-ctl=${`circusctl sinks ${word(name)}`}>
    <header><h2 id="st-h">${words.title}</h2><span class="grow"></span>${hasFiles && press('rotate', 'restart')}${hasFiles && press('reopen', 'reload')}<a class="btn small" href=${`${base}/c/set?name=${encodeURIComponent(name)}`} data-ctl=${`circusctl set ${word(name)}`}>${icon('edit')}${common.editOptions}</a></header>
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${ask} />`}
    ${files.done && html`<p class="st is-run said" role="status">${mark('run')}<span>${visible(files.done)}</span></p>`}
    ${files.problem && html`<div class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${common.notDone(files.problem.command)}</span></span><span class="why">${visible(files.problem.problem.message)}${files.problem.problem.hint ? html`; ${visible(files.problem.problem.hint)}` : ''}</span><button class="btn small quiet" type="button" onClick=${files.dismiss}>${verbs.dismiss}</button></div>`}
    <div class="pair">${['stdout', 'stderr'].map((stream) => [stream, rows.filter((sink) => sink.stream === stream)]).filter(([, own]) => own.length).map(([stream, own]) => html`<div key=${stream} class="stream"><h3>${stream} <small class="dim num">${words.read} ${amount(bytes(own[0].read_bytes))}</small></h3><ul>${own.map((sink) => html`<${Place} key=${sink.name} sink=${sink} />`)}</ul></div>`)}</div>
    <p class="foot dim">${watcher.output.captured ? `${words.counted} ${words.kept}` : watcher.output.why}</p>
  </section>`;
}
