// Plugins: what each is, whether it runs and hears, and what it was told.

import { bytes, count, span, word } from './format.js';
import { html, icon, mark } from './shapes.js';
import { visible } from './ansi.js';
import { alive, isStopped, now, watcherNamed } from './store.js';
import { address } from './overview.js';
import { counted, Do, Note, WatcherState } from './parts.js';
import { Loading } from './frame.js';
import { NotAsked, useAsked, useTitle } from './asked.js';
import { base } from './page.js';
import { plugins as words, verbs } from './words.js';

const EVERY = 3; // seconds
const MASK = /^\*+$/;

function Connections({ row }) {
  const heard = row.doors.filter((door) => door.channel !== 'commands');
  if (!heard.length) return html`<span class="st is-rest">${mark('rest')}<span class="word">${words.notConnected}</span></span>`;
  return html`<ul>${heard.map((door) => html`<li>${words.connection(door.channel, span(now() - door.since))} <span class="dim">${words.received(bytes(door.sent).join(' '))}</span></li>`)}</ul>`;
}

function Options({ row }) {
  const entries = Object.entries(row.options);
  if (!entries.length) return html`<p class="dim none">${words.noOptions}</p>`;
  return html`<dl class="told">${entries.map(([key, value]) => html`<div><dt><code>${visible(key)}</code></dt><dd>${MASK.test(value) ? html`<span class="dim">${words.secret}</span>` : html`<code dir="auto">${visible(String(value))}</code>`}</dd></div>`)}</dl>`;
}

function Plugin({ row }) {
  const watcher = watcherNamed(row.watcher);
  const id = `p-${row.name}`;
  const process = watcher?.processes.find(alive);
  return html`<section class="sheet plugin" aria-labelledby=${id} data-plugin=${row.name} data-ctl=${`circusctl inspect ${word(row.watcher)}`}>
    <header><h2 id=${id} dir="auto">${visible(row.name)}</h2>${watcher && html`<${WatcherState} watcher=${watcher} />`}<span class="grow"></span>
      ${watcher && html`<div class="do" role="group" aria-label=${row.name}>${isStopped(watcher) ? html`<${Do} what="start" watcher=${watcher} small />` : html`<${Do} what="restart" watcher=${watcher} small /><${Do} what="stop" watcher=${watcher} small />`}
        <a class="btn small" href=${address(watcher)}>${icon('list')}${words.log}</a><a class="btn small" href=${`${base}/c/set?name=${encodeURIComponent(watcher.name)}`}>${icon('edit')}${words.change}</a></div>`}</header>
    ${watcher && html`<${Note} watcher=${watcher} /><p class="sum explain">${counted(watcher.explain, watcher)}</p>`}
    <div class="of-plugin"><dl class="told facts-of"><div><dt>${words.uses}</dt><dd><code>${visible(row.use)}</code></dd></div>
        <div><dt>${words.process}</dt><dd>${process ? html`${process.pid} <span class="dim">${span(now() - process.started)}</span>` : html`<span class="dim">${words.noProcess}</span>`}</dd></div>
        <div><dt>${words.restarts}</dt><dd>${row.restarts ? html`<span class="is-wait">▲ ${count(row.restarts)}</span>` : 0}</dd></div>
        <div><dt>${words.connected}</dt><dd><${Connections} row=${row} /></dd></div></dl>
      <div><h3>${words.options}</h3><${Options} row=${row} /></div></div></section>`;
}

export function PluginsPage() {
  useTitle(words.title);
  const { reply, error, ask } = useAsked('plugins', {}, EVERY);
  const rows = reply?.plugins || [];
  return html`<main id="page" class="page plugins-page"><header class="head-of"><div><h1>${words.title}</h1><p class="explain">${reply ? words.lead(rows.length) : ''}</p></div>
      <a class="btn" href=${`${base}/daemon/`}>${icon('reload')}<span class="label">${verbs.configuration}</span></a></header>
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${ask} />`}
    ${!reply ? !error && html`<${Loading} />` : rows.length ? rows.map((row) => html`<${Plugin} key=${row.name} row=${row} />`)
      : html`<section class="sheet"><div class="blank"><h2>${words.none}</h2><p>${words.whatIsAPlugin}</p><pre><code>${words.howTo}</code></pre></div></section>`}</main>`;
}
