// One watcher: what it is, why it is so, its processes, and what they write.

import { useEffect, useState } from '../vendor/hooks.js';
import { amount, html, icon, inWords, mark, ring } from './shapes.js';
import { visible } from './ansi.js';
import { bytes, count, percent, rate, span, word } from './format.js';
import { alive, isStopped, kindsOf, now, shape, store, touch, watcherNamed } from './store.js';
import { base } from './page.js';
import { act, barred, isBusy, lineFor } from './commands.js';
import { counted, Do, Note, processState, Spoken, WatcherState } from './parts.js';
import { Loading } from './frame.js';
import { socketTag } from './overview.js';
import { loadSheet } from './pages.js';
import { say, verbs } from './words.js';

function Crumb({ name }) {
  return html`<nav class="crumb" aria-label="Where"><a href=${`${base}/`}>${say.watchers}</a><svg class="i" aria-hidden="true"><use href="#i-chev" /></svg><span dir="auto">${visible(name)}</span></nav>`;
}

function Face({ watcher }) {
  const kinds = kindsOf(watcher);
  return html`<header class="face">
    ${ring(kinds, { label: inWords(kinds) })}
    <div><div class="title"><h1 dir="auto">${visible(watcher.name)}</h1><${WatcherState} watcher=${watcher} />${watcher.sockets.map((name) => html`<span class="tag" dir="auto">${socketTag(name, watcher)}</span>`)}</div>
      <p class="explain">${counted(watcher.explain, watcher)}</p><${Spoken} text=${watcher.explain} /></div>
    <div class="do" role="toolbar" aria-label=${`Do to ${watcher.name}`}>
      ${isStopped(watcher) ? html`<${Do} what="start" watcher=${watcher} keys main />` : html`
        <${Do} what="restart" watcher=${watcher} keys /><${Do} what="reload" watcher=${watcher} keys /><${Do} what="stop" watcher=${watcher} keys />
        ${watcher.processes.length < watcher.numprocesses || watcher.processes.some((process) => shape(process.state) === 'fail') ? html`<${Do} what="start" watcher=${watcher} keys />` : null}`}
      <a class="btn" href=${`${base}/c/set?name=${encodeURIComponent(watcher.name)}`} data-ctl=${`circusctl options ${word(watcher.name)}`} aria-keyshortcuts="e">${icon('edit')}<span class="label">${say.editOptions}</span> <kbd>e</kbd></a>
      <a class="btn" href=${`${base}/c/add?like=${encodeURIComponent(watcher.name)}`} data-ctl="circusctl help add">${icon('copy')}<span class="label">${say.clone}</span></a>
      <button class="btn" type="button" data-palette=${watcher.name}>${icon('more')}<span class="label">${say.moreCommands}</span></button>
    </div>
  </header>`;
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
  return html`<div class="stepper" role="group" aria-label="Number of processes" aria-busy=${busy ? 'true' : undefined}>
    ${step('decr', '−', verbs.decr)}
    <input inputmode="numeric" aria-label="numprocesses" value=${typed ?? String(watcher.numprocesses)} readonly=${Boolean(why)} title=${why || undefined}
      data-ctl=${lineFor('set', watcher, { options: { numprocesses: typed ?? watcher.numprocesses } })} onInput=${(event) => setTyped(event.target.value)} onBlur=${() => setTyped(null)}
      onKeyDown=${(event) => { if (event.key === 'Enter') { set(); event.target.blur(); } if (event.key === 'Escape') { setTyped(null); event.target.blur(); } }} />
    ${step('incr', '+', verbs.incr)}</div>`;
}

function Process({ watcher, process, load, at, choose }) {
  const kind = shape(process.state);
  const live = alive(process);
  const why = barred('kill', watcher);
  const [cpu, rss] = load || [null, null];
  const replace = () => { if (!why) act('kill', watcher, { pid: String(process.pid) }); };
  const classes = [at && 'at', (kind === 'wait' || kind === 'fail') && 'ill'].filter(Boolean).join(' ');
  const tab = at ? 0 : -1;
  return html`<tr role="row" class=${classes} tabindex=${tab} data-wid=${process.wid} onFocusCapture=${() => choose(process.wid)}>
    <th role="rowheader" scope="row"><span class="cmd"><span class="wid">${process.wid}</span><code title=${watcher.cmd}>${watcher.cmd}</code></span></th>
    <td role="gridcell" class="num k-pid">${live ? process.pid : html`<span class="dim">–</span>`}</td>
    <td role="gridcell" class="k-state">${processState(process)}</td>
    <td role="gridcell" class="num k-cpu">${amount(live ? percent(cpu) : null)}</td>
    <td role="gridcell" class="num k-mem">${amount(live ? bytes(rss) : null)}</td>
    <td role="gridcell" class="num hide-m k-up">${live && process.started !== null ? span(now() - process.started) : html`<span class="dim">–</span>`}</td>
    <td role="gridcell" class="num k-starts">${kind === 'wait' || kind === 'fail' ? html`<span class="is-wait">▲ ${count(process.starts)}</span>` : count(process.starts)}</td>
    <td role="gridcell" class="num k-do">${live ? html`<span class="acts"><button class="btn small icon" type="button" tabindex=${tab} aria-label=${`Restart process ${process.wid}`} title=${why || `Restart process ${process.wid}`}
        data-ctl=${lineFor('kill', watcher, { pid: String(process.pid) })} aria-disabled=${why ? 'true' : undefined} onClick=${replace}>${icon('restart')}</button></span>`
      : kind === 'wait' || kind === 'fail' ? html`<${Do} what="start" watcher=${watcher} label=${verbs.tryNow} tab=${tab} small />` : null}</td>
  </tr>`;
}

function Processes({ watcher }) {
  const series = store.load.get(watcher.name);
  const up = watcher.processes.filter((process) => shape(process.state) === 'run').length;
  const cpu = percent(series?.cpu.last);
  const rss = bytes(series?.rss.last);
  const [chosen, choose] = useState(0);
  const at = (watcher.processes.find((process) => process.wid === chosen) || watcher.processes[0])?.wid;
  return html`<section class="sheet procs" aria-labelledby="p-h" data-ctl=${`circusctl stats ${word(watcher.name)}`}>
    <header><h2 id="p-h">${say.processes}</h2><span class="dim">${up} of ${watcher.numprocesses}</span><span class="grow"></span>
      <dl class="figures" aria-label="The watcher as a whole"><div><dt>${say.restarts}</dt><dd>${count(watcher.restarts)}</dd></div><div><dt>${say.output}</dt><dd>${rate(series?.lines || 0)}<span class="unit">${say.linesPerSecond}</span></dd></div></dl><${Scale} watcher=${watcher} /></header>
    ${watcher.processes.length === 0 ? html`<div class="blank"><p>${isStopped(watcher) ? watcher.explain : say.noFewer}</p></div>` : html`<div class="rows-box"><table class="tab tree compact" role="grid" aria-labelledby="p-h">
      <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Process</th><th role="columnheader" scope="col" class="num k-pid">PID</th><th role="columnheader" scope="col" class="k-state">State</th>
        <th role="columnheader" scope="col" class="num k-cpu">CPU</th><th role="columnheader" scope="col" class="num k-mem">Memory</th><th role="columnheader" scope="col" class="num hide-m k-up">Up</th>
        <th role="columnheader" scope="col" class="num k-starts">Starts</th><th role="columnheader" scope="col" class="k-do"><span class="only-heard">Actions</span></th></tr></thead>
      <tbody role="rowgroup">${watcher.processes.map((process) => html`<${Process} key=${process.wid} watcher=${watcher} process=${process} load=${series?.processes[process.wid]} at=${process.wid === at} choose=${choose} />`)}</tbody>
      ${watcher.processes.length > 1 && html`<tfoot role="rowgroup"><tr role="row"><th role="rowheader" scope="row">All</th><td role="gridcell" class="k-pid"></td><td role="gridcell" class="k-state"></td><td role="gridcell" class="num k-cpu">${amount(cpu)}</td>
        <td role="gridcell" class="num k-mem">${amount(rss)}</td><td role="gridcell" class="hide-m k-up"></td><td role="gridcell" class="num k-starts">${count(watcher.processes.reduce((sum, process) => sum + process.starts, 0))}</td><td role="gridcell" class="k-do"></td></tr></tfoot>`}
    </table></div>`}
  </section>`;
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
  useEffect(() => { document.title = `${name} · ${store.daemon?.host || 'circus'} · circus`; });
  if (!store.daemon) return html`<main id="page" class="page"><${Crumb} name=${name} /><h1 class="only-heard">${name}</h1><${Loading} /></main>`;
  if (!watcher) {
    return html`<main id="page" class="page"><${Crumb} name=${name} /><section class="sheet"><div class="blank"><h1>${say.noWatcher(name)}</h1><p>${say.removedOrNever}</p>
      <a class="btn" href=${`${base}/`}>${say.allWatchers}</a></div></section></main>`;
  }
  return html`<main id="page" class="page one-watcher">
    <${Crumb} name=${watcher.name} /><${Face} watcher=${watcher} /><${Note} watcher=${watcher} />
    <div class="live"><${Processes} watcher=${watcher} /><${Log} watcher=${watcher} /></div>
  </main>`;
}
