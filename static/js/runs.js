// The schedule of a watcher and its runs: when the next one is, how those before went, and what each has written.

import { visible } from './ansi.js';
import { NotAsked, useAsked } from './asked.js';
import { count, inZone, stamp, wait, word } from './format.js';
import { base } from './page.js';
import { html, icon, state } from './shapes.js';
import { now, store } from './store.js';
import { runs as words } from './runwords.js';
import { say } from './words.js';

const SHOWN = 50;
const SHAPES = { running: 'start', succeeded: 'run', failed: 'fail', 'timed out': 'fail', lost: 'fail', skipped: 'wait', missed: 'wait' };

const dash = () => html`<span class="dim">–</span>`;

/** The address of the first line that a run has written; nothing where none is in memory. */
function outputOf(watcher, run) {
  const [label, span] = Object.entries(run.lines || {}).sort((a, b) => (a[0].endsWith('stdout') ? -1 : 1) - (b[0].endsWith('stdout') ? -1 : 1))[0] || [];
  if (!label || run.life !== store.daemon?.epoch) return '';
  const [wid, stream] = label.split('.');
  const query = new URLSearchParams({ w: watcher.name, line: `${run.life}/${span[0]}/${wid}/${stream}/${watcher.name}`, t: String(run.began) });
  return `${base}/logs/?${query}`;
}

function Output({ watcher, run }) {
  if (run.result === 'skipped' || run.result === 'missed') return dash();
  const href = outputOf(watcher, run);
  if (href) {
    const line = `circusctl tail ${word(watcher.name)} --since ${run.began}${run.ended ? ` --until ${run.ended}` : ''}`;
    return html`<a class="btn small" href=${href} data-ctl=${line} aria-label=${words.toOutput(run.number)}>${icon('list')}${words.open}</a>`;
  }
  if (run.life === store.daemon?.epoch) return html`<span class="dim">${words.noOutput}</span>`;
  return html`<span class="dim" title=${words.goneHelp}>${words.gone}</span>`;
}

function Run({ watcher, run }) {
  const result = `${words.results[run.result] || run.result}${run.times > 1 ? `, ${words.times(count(run.times))}` : ''}`;
  const began = run.result !== 'skipped' && run.result !== 'missed';
  const took = run.took ?? (run.result === 'running' ? now() - run.began : null);
  return html`<tr><th scope="row" class="num">${run.number}</th>
    <td class="hide-m">${run.planned === null ? dash() : stamp(run.planned, now())}</td><td>${began ? stamp(run.began, now()) : dash()}</td>
    <td class="num">${took === null ? dash() : wait(Math.max(0, took))}</td>
    <td class="r-result">${state(SHAPES[run.result] || 'rest', result)}${run.text && html`<span class="why dim" title=${run.text}>${visible(run.text)}</span>`}</td>
    <td class="hide-m">${run.signal ? words.signal(run.signal) : run.code ?? dash()}</td>
    <td class="hide-m" dir="auto">${run.by ? words.by(visible(run.by)) : words.why[run.why] || dash()}</td>
    <td><${Output} watcher=${watcher} run=${run} /></td></tr>`;
}

function Facts({ schedule }) {
  const { last, next, running } = schedule;
  const ended = last && (last.ended || last.began);
  return html`<dl class="facts">
    <div><dt>${words.schedule}</dt><dd><code dir="auto">${visible(schedule.schedule || '')}</code> <span class="dim" dir="auto">${visible(schedule.timezone)}</span></dd></div>
    <div><dt>${words.next}</dt><dd>${next ? html`${inZone(next, now(), schedule.timezone)} <span class="dim">${words.from(wait(Math.max(0, next - now())))}</span>` : schedule.in_force ? words.never : words.notInForce}</dd></div>
    <div><dt>${words.last}</dt><dd>${running ? state('start', words.results.running) : last ? html`${state(SHAPES[last.result] || 'rest', words.results[last.result] || last.result)} <span class="dim">${words.ago(wait(Math.max(0, now() - ended)))}</span>` : words.none}</dd></div>
    <div><dt>${words.rule}</dt><dd>${words.rules[schedule.overlap] || schedule.overlap}${schedule.queued ? html`, ${words.queued}` : ''}</dd></div>
  </dl>`;
}

export function Runs({ watcher }) {
  const { name, schedule } = watcher;
  const since = `${schedule?.last?.number} ${schedule?.last?.result} ${schedule?.running?.number} ${store.events.find((event) => event.watcher === name && event.event.startsWith('run.'))?.number}`;
  const { reply, error, ask } = useAsked('runs', { name, match: 'simple', lines: SHOWN }, 0, since);
  const rows = reply?.runs || [];
  return html`<section class="sheet runs" aria-labelledby="r-h" data-ctl=${`circusctl runs ${word(name)} -n ${SHOWN}`}>
    <header><h2 id="r-h">${words.title}</h2><span class="grow"></span><a class="btn small" href=${`${base}/c/set?name=${encodeURIComponent(name)}`} data-ctl=${`circusctl set ${word(name)}`}>${icon('edit')}<span class="label">${say.editOptions}</span></a></header>
    ${schedule && html`<${Facts} schedule=${schedule} />`}
    ${schedule && !schedule.in_force && html`<p class="foot dim">${words.notInForceHelp}</p>`}
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${ask} />`}
    ${reply && rows.length === 0 ? html`<div class="blank"><p>${words.noRuns}</p></div>` : html`<div class="rows-box" tabindex="0" role="group" aria-labelledby="r-h"><table class="tab compact">
      <thead><tr><th scope="col" class="num">${words.heads.number}</th><th scope="col" class="hide-m">${words.heads.planned}</th><th scope="col">${words.heads.began}</th><th scope="col" class="num">${words.heads.took}</th>
        <th scope="col">${words.heads.result}</th><th scope="col" class="hide-m">${words.heads.exit}</th><th scope="col" class="hide-m">${words.heads.why}</th><th scope="col">${words.heads.output}</th></tr></thead>
      <tbody>${rows.map((run) => html`<${Run} key=${run.number} watcher=${watcher} run=${run} />`)}</tbody></table></div>`}
    <p class="foot dim">${reply?.more ? `${words.more(SHOWN)} ` : ''}${words.kept}</p>
  </section>`;
}
