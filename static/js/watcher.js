// One watcher: what it is, why it is so, its processes with what they have started, and what they write; the rest comes when
// it is looked for.

import { useEffect, useState } from '../vendor/hooks.js';
import { amount, html, icon, inWords, ring, state } from './shapes.js';
import { visible } from './ansi.js';
import { bytes, count, percent, rate, span, word } from './format.js';
import { alive, isStopped, kindsOf, now, shape, shapeOfProcess, store, touch, watcherNamed } from './store.js';
import { base } from './page.js';
import { loadSheet, own } from './pages.js';
import { useBelow } from './below.js';
import { whenLog } from './moment.js';
import { Part } from './later.js';
import { act, barred, call, isBusy, lineFor, mayNot } from './commands.js';
import { counted, Do, LastCrash, Note, processState, progress, Spoken, WatcherState } from './parts.js';
import { Loading } from './frame.js';
import { socketTag } from './overview.js';
import { details, say, verbs } from './words.js';

/** The sections of the page: what stands for each in an address, its name, and what draws it. */
const LOAD = { part: 'w/load', name: 'charts', sheets: ['charts', '../vendor/uplot'], load: () => import('./charts.js').then((module) => module.Charts) };
const INPUT = { part: 'w/input', name: 'send', sheet: 'input', load: () => import('./input.js').then((module) => module.Input) };
const SECTIONS = [
  { tab: '', title: details.live },
  { tab: 'options', title: details.options, part: 'w/options', sheet: 'sections', load: () => import('./sections.js').then((module) => module.Options) },
  { tab: 'events', title: details.events, part: 'w/events', sheet: 'sections', load: () => import('./sections.js').then((module) => module.Events) },
  { tab: 'runs', title: details.runs, part: 'w/runs', sheet: 'runs', only: (watcher) => watcher.schedule, load: () => import('./runs.js').then((module) => module.Runs) },
  { tab: 'crashes', title: details.crashes, part: 'w/crashes', sheets: ['crashes', 'log'], load: () => import('./crashes.js').then((module) => module.Crashes) },
  { tab: 'streams', title: details.streams, part: 'w/streams', sheet: 'sinks', load: () => import('./sinks.js').then((module) => module.Sinks) },
];

function Crumb({ name }) {
  return html`<nav class="crumb" aria-label=${say.where}><a href=${`${base}/`}>${say.watchers}</a><svg class="i" aria-hidden="true"><use href="#i-chev" /></svg><span dir="auto">${visible(name)}</span></nav>`;
}

function Face({ watcher }) {
  const kinds = kindsOf(watcher);
  return html`<header class="face">
    ${ring(kinds, { label: inWords(kinds) })}
    <div><div class="title"><h1 dir="auto">${visible(watcher.name)}</h1><${WatcherState} watcher=${watcher} />${watcher.sockets.map((name) => html`<span class="tag" dir="auto">${socketTag(name, watcher)}</span>`)}${watcher.watched && !watcher.watched.problem && html`<span class="tag">${say.watches(watcher.watched.files)}</span>`}</div>
      <p class="explain">${counted(watcher.explain, watcher)} <${LastCrash} watcher=${watcher} /></p><${Spoken} text=${watcher.explain} /></div>
    <div class="do" role="toolbar" aria-label=${say.doTo(watcher.name)}>
      ${watcher.schedule && html`<${Do} what="run" watcher=${watcher} picture="start" given=${{ waiting: false }} main=${!isStopped(watcher)} />`}
      ${isStopped(watcher) ? html`<${Do} what="start" watcher=${watcher} keys main />` : html`
        <${Do} what="restart" watcher=${watcher} keys /><${Do} what="reload" watcher=${watcher} keys /><${Do} what="stop" watcher=${watcher} keys />
        ${watcher.processes.some((process) => process.state === 'frozen') ? html`<${Do} what="thaw" watcher=${watcher} picture="start" main />` : watcher.processes.some(alive) && html`<a class="btn" href=${`${base}/c/freeze?name=${encodeURIComponent(watcher.name)}`} data-ctl=${lineFor('freeze', watcher)}>${icon('still')}<span class="label">${verbs.freeze}</span></a>`}
        ${watcher.processes.length < watcher.numprocesses || watcher.processes.some((process) => shape(process.state) === 'fail') ? html`<${Do} what="start" watcher=${watcher} keys />` : null}`}
      <a class="btn" href=${`${base}/c/set?name=${encodeURIComponent(watcher.name)}`} data-ctl=${`circusctl options ${word(watcher.name)}`} aria-keyshortcuts="e">${icon('edit')}<span class="label">${say.editOptions}</span> <kbd>e</kbd></a>
      <a class="btn" href=${`${base}/c/add?like=${encodeURIComponent(watcher.name)}`} data-ctl="circusctl help add">${icon('copy')}<span class="label">${say.clone}</span></a>
      <button class="btn" type="button" data-palette=${watcher.name}>${icon('more')}<span class="label">${say.moreCommands}</span></button>
    </div>
  </header>`;
}

/** How far a reload is and what it waits for, as long as it goes on; afterwards, that the last one was given up. */
function Deploy({ watcher }) {
  const { job } = watcher;
  const [problem, setProblem] = useState('');
  if (job && watcher.processes.some((process) => process.side)) {
    const why = mayNot('operator');
    const cancel = () => { if (!why) call('cancel', { id: job.id }).then(() => setProblem(''), (error) => setProblem(error.message)); };
    return html`<div class="note deploy" role="group" aria-label=${say.reloadOf(watcher.name)}>${state('start', say.readyOf(job.done, job.total))}${progress(job)}
      <span class="why" dir="auto">${visible(problem || job.text || '')}</span>
      <button class="btn small" type="button" data-ctl=${`circusctl cancel ${job.id}`} aria-disabled=${why ? 'true' : undefined} title=${why || undefined} onClick=${cancel}>${say.cancelReload}</button></div>`;
  }
  if (!watcher.setback || job || store.notes.has(watcher.name)) return null;
  return html`<div class="note" role="group" aria-label=${say.reloadOf(watcher.name)}>${state('fail', say.reloadGivenUp)}<span class="why">${say.oldServe}</span>
    <${Do} what="reload" watcher=${watcher} label=${say.reloadAgain} small /></div>`;
}

function Scale({ watcher }) {
  const [typed, setTyped] = useState(null);
  const why = barred('set', watcher, { options: { numprocesses: watcher.numprocesses } });
  const busy = ['set', 'incr', 'decr'].some((what) => isBusy(watcher, what));
  const set = () => {
    const number = Number(typed);
    if (typed !== null && /^\d{1,5}$/.test(typed) && number !== watcher.numprocesses) act('set', watcher, { options: { numprocesses: number } });
    setTyped(null);
  };
  const step = (what, sign, label) => {
    const not = barred(what, watcher);
    return html`<button type="button" aria-label=${label} data-what=${what} data-ctl=${lineFor(what, watcher)} title=${not || undefined} aria-disabled=${not ? 'true' : undefined}
      aria-keyshortcuts=${sign === '−' ? '-' : sign} onClick=${() => { if (!not) act(what, watcher); }}>${sign}</button>`;
  };
  return html`<div class="stepper" role="group" aria-label=${say.numberOf} aria-busy=${busy ? 'true' : undefined}>
    ${step('decr', '−', verbs.decr)}
    <input inputmode="numeric" aria-label=${say.numprocesses} value=${typed ?? String(watcher.numprocesses)} readonly=${Boolean(why)} title=${why || undefined}
      data-ctl=${lineFor('set', watcher, { options: { numprocesses: typed ?? watcher.numprocesses } })} onInput=${(event) => setTyped(event.target.value)} onBlur=${() => setTyped(null)}
      onKeyDown=${(event) => { if (event.key === 'Enter') { set(); event.target.blur(); } if (event.key === 'Escape') { setTyped(null); event.target.blur(); } }} />
    ${step('incr', '+', verbs.incr)}</div>`;
}

export const processAddress = (watcher, wid) => `${base}/p/${encodeURIComponent(watcher.name)}/${wid}`;

function Below({ one, watcher }) {
  return html`<tr role="row" class="kin" aria-level=${one.depth + 1}>
    <th role="rowheader" scope="row"><span class=${`cmd d${Math.min(one.depth, 5)}`}><code title=${one.command} dir="auto">${visible(one.command)}</code></span></th>
    <td role="gridcell" class="num k-pid">${one.pid}</td><td role="gridcell" class="k-state">${one.state === 'Z' ? html`<span class="dim">${details.zombie}</span>` : ''}</td>
    <td role="gridcell" class="num k-cpu">${amount(percent(one.cpu))}</td><td role="gridcell" class="num k-mem">${amount(bytes(one.rss))}</td>
    <td role="gridcell" class="num hide-m k-up">${span(one.age)}</td><td role="gridcell" class="k-starts"></td><td role="gridcell" class="num k-do"><span class="acts"><a class="btn small icon" tabindex="-1" title=${details.signals} aria-label=${`${details.signals}: ${one.pid}`}
      href=${`${base}/c/signal?name=${encodeURIComponent(watcher.name)}&pid=${one.root}&childpid=${one.pid}`}>${icon('more')}</a></span></td></tr>`;
}

function Process({ watcher, process, load, at, choose, below, open, turn }) {
  const kind = shapeOfProcess(process);
  const live = alive(process);
  const why = barred('kill', watcher);
  const [cpu, rss] = load || [null, null];
  const replace = () => { if (!why) act('kill', watcher, { pid: String(process.pid) }); };
  const classes = [at && 'at', ['wait', 'ill', 'fail'].includes(kind) && 'ill'].filter(Boolean).join(' ');
  const tab = at ? 0 : -1;
  const onKey = (event) => {
    if (!below.length || event.target.tagName !== 'TR' || (event.key !== 'ArrowRight' && event.key !== 'ArrowLeft')) return;
    event.preventDefault();
    if (open !== (event.key === 'ArrowRight')) turn(process.wid);
  };
  return html`<tr role="row" class=${classes} tabindex=${tab} data-wid=${process.wid} aria-level="1" aria-expanded=${below.length ? String(open) : undefined} onFocusCapture=${() => choose(process.wid)} onKeyDown=${onKey}>
    <th role="rowheader" scope="row"><span class="cmd">${below.length > 0 ? html`<button class="twist" type="button" tabindex="-1" aria-expanded=${String(open)} aria-label=${details.showBelow(process.wid)} onClick=${() => turn(process.wid)}>${icon('chev')}</button>` : html`<span class="twist"></span>`}<a class="say-not" href=${processAddress(watcher, process.wid)} tabindex=${tab} data-ctl=${`circusctl process ${word(watcher.name)} ${process.wid}`}><span class="wid">${process.wid}</span><code title=${watcher.cmd}>${watcher.cmd}</code></a></span></th>
    <td role="gridcell" class="num k-pid">${live ? process.pid : html`<span class="dim">–</span>`}</td>
    <td role="gridcell" class="k-state" title=${visible(process.health?.text || process.said || '') || undefined}>${processState(process)}${process.health?.text && html`<span class="why" dir="auto">${visible(process.health.text)}</span>`}</td>
    <td role="gridcell" class="num k-cpu">${amount(live ? percent(cpu) : null)}</td>
    <td role="gridcell" class="num k-mem">${amount(live ? bytes(rss) : null)}</td>
    <td role="gridcell" class="num hide-m k-up">${live && process.started !== null ? span(now() - process.started) : html`<span class="dim">–</span>`}</td>
    <td role="gridcell" class="num k-starts">${kind === 'wait' || kind === 'fail' ? html`<span class="is-wait">▲ ${count(process.starts)}</span>` : count(process.starts)}</td>
    <td role="gridcell" class="num k-do">${live ? html`<span class="acts"><button class="btn small icon" type="button" tabindex=${tab} aria-label=${say.restartOne(process.wid)} title=${why || say.restartOne(process.wid)}
        data-ctl=${lineFor('kill', watcher, { pid: String(process.pid) })} aria-disabled=${why ? 'true' : undefined} onClick=${replace}>${icon('restart')}</button></span>`
      : kind === 'wait' || kind === 'fail' ? html`<${Do} what="start" watcher=${watcher} label=${verbs.tryNow} tab=${tab} small />` : null}</td>
  </tr>`;
}

function Processes({ watcher }) {
  const series = store.load.get(watcher.name);
  const up = watcher.processes.filter((process) => ['run', 'ill'].includes(shapeOfProcess(process))).length;
  const cpu = percent(series?.cpu.last);
  const rss = bytes(series?.rss.last);
  const below = useBelow(watcher.name, watcher.processes.some(alive));
  const [closed, setClosed] = useState(new Set());
  const turn = (wid) => setClosed((before) => { const next = new Set(before); if (!next.delete(wid)) next.add(wid); return next; });
  const children = [...below.values()].reduce((sum, one) => sum + one.below.length, 0);
  const [chosen, choose] = useState(0);
  const at = (watcher.processes.find((process) => process.wid === chosen) || watcher.processes[0])?.wid;
  return html`<section class="sheet procs" aria-labelledby="p-h" data-ctl=${`circusctl stats ${word(watcher.name)}`}>
    <header><h2 id="p-h">${say.processes}</h2><span class="dim">${say.outOf(up, watcher.numprocesses)}${children > 0 ? `, ${details.tree(count(children))}` : ''}</span><span class="grow"></span>
      <dl class="figures" aria-label=${say.wholeWatcher}><div><dt>${say.restarts}</dt><dd>${count(watcher.restarts)}</dd></div><div><dt>${say.output}</dt><dd>${rate(series?.lines || 0)}<span class="unit">${say.linesPerSecond}</span></dd></div></dl><${Scale} watcher=${watcher} /></header>
    ${watcher.processes.length === 0 ? html`<div class="blank"><p>${isStopped(watcher) ? watcher.explain : say.noFewer}</p></div>` : html`<div class="rows-box"><table class="tab tree compact" role="treegrid" aria-labelledby="p-h">
      <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">${say.heads.process}</th><th role="columnheader" scope="col" class="num k-pid">${say.heads.pid}</th><th role="columnheader" scope="col" class="k-state">${say.heads.state}</th>
        <th role="columnheader" scope="col" class="num k-cpu">${say.heads.cpu}</th><th role="columnheader" scope="col" class="num k-mem">${say.heads.mem}</th><th role="columnheader" scope="col" class="num hide-m k-up">${say.heads.up}</th>
        <th role="columnheader" scope="col" class="num k-starts">${say.heads.starts}</th><th role="columnheader" scope="col" class="k-do"><span class="only-heard">${say.heads.actions}</span></th></tr></thead>
      <tbody role="rowgroup">${watcher.processes.map((process) => {
        const told = below.get(process.wid);
        const listed = told && told.pid === process.pid ? told.below : [];
        return html`<${Process} key=${process.wid} watcher=${watcher} process=${process} load=${series?.processes[process.wid]} at=${process.wid === at} choose=${choose} below=${listed} open=${!closed.has(process.wid)} turn=${turn} />
          ${!closed.has(process.wid) && listed.map((one) => html`<${Below} key=${`${process.wid}/${one.pid}`} one=${{ ...one, root: process.pid }} watcher=${watcher} />`)}`;
      })}</tbody>
      ${watcher.processes.length > 1 && html`<tfoot role="rowgroup"><tr role="row"><th role="rowheader" scope="row">${say.heads.all}</th><td role="gridcell" class="k-pid"></td><td role="gridcell" class="k-state"></td><td role="gridcell" class="num k-cpu">${amount(cpu)}</td>
        <td role="gridcell" class="num k-mem">${amount(rss)}</td><td role="gridcell" class="hide-m k-up"></td><td role="gridcell" class="num k-starts">${count(watcher.processes.reduce((sum, process) => sum + process.starts, 0))}</td><td role="gridcell" class="k-do"></td></tr></tfoot>`}
    </table></div>`}
  </section>`;
}

/** The sections, as links: each has an address. */
function Sections({ watcher, at }) {
  const there = `${base}/w/${encodeURIComponent(watcher.name)}`;
  return html`<nav class="tabs" aria-label=${details.sections}>${SECTIONS.filter((row) => !row.only || row.only(watcher)).map((row) => html`<a key=${row.tab} href=${row.tab ? `${there}?tab=${row.tab}` : there} aria-current=${row === at ? 'page' : undefined}>${row.title}</a>`)}</nav>`;
}

let Pane = null; // the log, which is no part of the first view

/** The log of the watcher; until its parts have come, the place where it will be. */
function Log({ watcher }) {
  const [problem, setProblem] = useState('');
  useEffect(() => {
    if (Pane) return;
    Promise.all([import('./pane.js'), loadSheet('log')]).then(([module]) => { Pane = module.default; touch(); }, (error) => setProblem(error.message));
  }, []);
  if (Pane) return html`<${Pane} key=${watcher.name} watcher=${watcher} />`;
  return html`<section class="sheet pane" aria-labelledby="l-h"><div class="bar"><h2 id="l-h">${say.log}</h2>${problem && html`<span class="is-fail" role="alert">${say.pageNotLoaded}: ${problem}</span>`}</div></section>`;
}

export function WatcherPage({ name }) {
  const watcher = watcherNamed(name);
  const tab = new URLSearchParams(location.search).get('tab') || '';
  const section = SECTIONS.find((row) => row.tab === tab) || SECTIONS[0];
  own.help = [['o', details.logKey]];
  own.keys.o = () => {
    const to = document.querySelector('.tabs a');
    if (section.tab && !document.querySelector('.pane')?.checkVisibility()) to?.click();
    whenLog((log) => log.focus());
  };
  useEffect(() => { document.title = `${name} · ${store.daemon?.host || 'circus'} · circus`; });
  if (!store.daemon) return html`<main id="page" class="page"><${Crumb} name=${name} /><h1 class="only-heard">${name}</h1><${Loading} /></main>`;
  if (!watcher) {
    return html`<main id="page" class="page"><${Crumb} name=${name} /><section class="sheet"><div class="blank"><h1>${say.noWatcher(name)}</h1><p>${say.removedOrNever}</p>
      <a class="btn" href=${`${base}/`}>${say.allWatchers}</a></div></section></main>`;
  }
  return html`<main id="page" class="page one-watcher">
    <${Crumb} name=${watcher.name} /><${Face} watcher=${watcher} /><${Note} watcher=${watcher} /><${Deploy} watcher=${watcher} />
    <${Sections} watcher=${watcher} at=${section} />
    <div class=${`live on-${section.tab || 'live'}`}>
      ${section.tab ? html`<${Part} key=${section.tab} row=${section} watcher=${watcher} />` : html`<${Processes} watcher=${watcher} /><${Part} key="load" row=${LOAD} watcher=${watcher} />`}
      <${Log} watcher=${watcher} /></div>
    ${!section.tab && watcher.processes.some((process) => process.stdin) && html`<${Part} row=${INPUT} watcher=${watcher} />`}
  </main>`;
}
