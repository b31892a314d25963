// Plugins: what each is and does, whether it runs and hears, what it was told and what it says; and those that could be added.

import { bytes, clock, count, span, word } from './format.js';
import { html, icon, mark } from './shapes.js';
import { useEffect } from '../vendor/hooks.js';
import { visible } from './ansi.js';
import { alive, isStopped, now, watcherNamed } from './store.js';
import { address } from './overview.js';
import { counted, Do, Note, WatcherState } from './parts.js';
import { Loading } from './frame.js';
import { NotAsked, useAsked, useTitle } from './asked.js';
import { prose } from './fields.js';
import { base } from './page.js';
import { loadTables, tables } from './tables.js';
import { plugins as words, verbs } from './words.js';

const EVERY = 3; // seconds
const SAID = 5; // lines
const MASK = /^\*+$/;
const LOGGED = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+\[\d+\] \[(\w+)\] (.*)$/s; // as circus-plugin logs
const LEVELS = { WARNING: 'wait', ERROR: 'fail', CRITICAL: 'fail' };

/** The first sentence, which says what it is for; the rest says how. */
const sentences = (text) => { const end = text.search(/\.(?= [A-Z])/) + 1 || text.length; return [text.slice(0, end), text.slice(end).trim()]; };

function Connections({ row }) {
  const heard = row.doors.filter((door) => door.channel !== 'commands');
  if (!heard.length) return html`<span class="st is-rest">${mark('rest')}<span class="word">${words.notConnected}</span></span>`;
  return html`<ul>${heard.map((door) => html`<li>${words.connection(door.channel, span(now() - door.since))} <span class="dim">${words.received(bytes(door.sent).join(' '))}</span></li>`)}</ul>`;
}

function Value({ value }) {
  return MASK.test(value) ? html`<span class="dim">${words.secret}</span>` : html`<code dir="auto">${visible(String(value))}</code>`;
}

/** What was given, and below it what holds for the rest. */
function Options({ row, known }) {
  const entries = Object.entries(row.options);
  const rest = (known?.options || []).filter((option) => !(option.name in row.options));
  return html`${entries.length ? html`<dl class="told">${entries.map(([key, value]) => html`<div><dt><code>${visible(key)}</code></dt><dd><${Value} value=${value} /></dd></div>`)}</dl>` : html`<p class="dim none">${words.noOptions}</p>`}
    ${rest.length > 0 && html`<details class="rest"><summary>${words.defaults(rest.length)}</summary><${Table} options=${rest} /></details>`}`;
}

/** Each option with what it is for. */
function Table({ options }) {
  return html`<dl class="told each">${options.map((option) => html`<div><dt><code>${option.name}</code> <span class="dim">${option.default ? `${option.default}${option.unit === 's' ? ' s' : ''}` : ''}</span></dt><dd>${prose(option.doc)}</dd></div>`)}</dl>`;
}

/** A line without what its time and its plugin say already. */
function Line({ line }) {
  const [, level, text] = LOGGED.exec(line.text) || [];
  const kind = LEVELS[level];
  return html`<li><time>${clock(line.time)}</time> ${kind && html`<span class=${`is-${kind}`} title=${level.toLowerCase()} role="img" aria-label=${level.toLowerCase()}>${mark(kind)}</span> `}<code dir="auto">${visible(text ?? line.text)}</code></li>`;
}

/** Its last lines; what it can't be asked for (somebody may see the plugin, and not what it writes) is left out. */
function Said({ row }) {
  const { reply } = useAsked('output', { names: [row.watcher], lines: SAID }, EVERY);
  const lines = reply?.lines || [];
  if (!reply) return null;
  return html`<div class="said"><h3>${words.said}</h3>${lines.length ? html`<ol>${lines.map((line) => html`<${Line} key=${line.id} line=${line} />`)}</ol>` : html`<p class="dim none">${words.silent}</p>`}</div>`;
}

function Plugin({ row }) {
  const watcher = watcherNamed(row.watcher);
  const id = `p-${row.name}`;
  const process = watcher?.processes.find(alive);
  const known = tables.plugins?.find((one) => one.uses.includes(row.use));
  const [purpose, how] = sentences(row.about || '');
  return html`<section class="sheet plugin" aria-labelledby=${id} data-plugin=${row.name} data-ctl=${`circusctl inspect ${word(row.watcher)}`}>
    <header><h2 id=${id} dir="auto">${visible(row.name)}</h2>${watcher && html`<${WatcherState} watcher=${watcher} />`}<span class="grow"></span>
      ${watcher && html`<div class="do" role="group" aria-label=${row.name}>${isStopped(watcher) ? html`<${Do} what="start" watcher=${watcher} small />` : html`<${Do} what="restart" watcher=${watcher} small /><${Do} what="stop" watcher=${watcher} small />`}
        <a class="btn small" href=${address(watcher)}>${icon('list')}${words.log}</a><a class="btn small" href=${`${base}/c/set?name=${encodeURIComponent(watcher.name)}`}>${icon('edit')}${words.change}</a></div>`}</header>
    ${watcher && html`<${Note} watcher=${watcher} />`}
    ${purpose && html`<p class="does">${prose(purpose)} ${how && html`<span class="dim">${prose(how)}</span>`}</p>`}
    ${watcher && html`<p class="sum explain">${counted(watcher.explain, watcher)}</p>`}
    <div class="of-plugin"><dl class="told facts-of"><div><dt>${words.uses}</dt><dd><code>${visible(row.use)}</code></dd></div>
        <div><dt>${words.process}</dt><dd>${process ? html`${process.pid} <span class="dim">${span(now() - process.started)}</span>` : html`<span class="dim">${words.noProcess}</span>`}</dd></div>
        <div><dt>${words.restarts}</dt><dd>${row.restarts ? html`<span class="is-wait">▲ ${count(row.restarts)}</span>` : 0}</dd></div>
        <div><dt>${words.connected}</dt><dd><${Connections} row=${row} /></dd></div></dl>
      <div><h3>${words.options}</h3><${Options} row=${row} known=${known} /></div></div>
    <${Said} row=${row} /></section>`;
}

/** A section that would add it. */
function section(known) {
  const needs = known.needs.slice(0, 1).map((name) => `${name} = …\n`).join('');
  return `[plugin:${known.name}]\nuse = ${known.name}\n${needs}`;
}

function Further({ rows }) {
  const used = new Set(rows.map((row) => row.use));
  const others = (tables.plugins || []).filter((known) => !known.uses.some((use) => used.has(use)));
  if (!others.length) return null;
  return html`<section class="sheet further" aria-labelledby="further"><header><h2 id="further">${words.further}</h2></header><p class="sum explain">${words.howToAdd}</p>
    ${others.map((known) => html`<details key=${known.name} data-known=${known.name}><summary><code>${known.name}</code> <span>${prose(sentences(known.doc)[0])}</span></summary>
      <div class="inside">${sentences(known.doc)[1] && html`<p>${prose(sentences(known.doc)[1])}</p>`}${known.extra && html`<p>${words.needs} <code>pip install 'circusweb[${known.extra}]'</code></p>`}<pre><code>${section(known)}</code></pre><${Table} options=${known.options} /></div></details>`)}</section>`;
}

export function PluginsPage() {
  useTitle(words.title);
  useEffect(() => { loadTables(); }, []);
  const { reply, error, ask } = useAsked('plugins', {}, EVERY);
  const rows = reply?.plugins || [];
  return html`<main id="page" class="page plugins-page"><header class="head-of"><div><h1>${words.title}</h1><p class="explain">${reply ? words.lead(rows.length) : ''}</p></div>
      <a class="btn" href=${`${base}/daemon/`}>${icon('reload')}<span class="label">${verbs.configuration}</span></a></header>
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${ask} />`}
    ${!reply ? !error && html`<${Loading} />` : html`${rows.length ? rows.map((row) => html`<${Plugin} key=${row.name} row=${row} />`)
      : html`<section class="sheet"><div class="blank"><h2>${words.none}</h2><p>${words.whatIsAPlugin}</p><pre><code>${words.howTo}</code></pre></div></section>`}<${Further} rows=${rows} />`}</main>`;
}
