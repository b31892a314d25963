// The daemon itself: its process, its configuration and what differs from it, what is under way, who is connected.

import { useEffect, useState } from '../vendor/hooks.js';
import { bytes, count, span } from './format.js';
import { amount, html, icon } from './shapes.js';
import { visible } from './ansi.js';
import { isLive, now, store } from './store.js';
import { address } from './overview.js';
import { call } from './commands.js';
import { Loading } from './frame.js';
import { FormLink, NotAsked, useAsked, useTitle } from './asked.js';
import { Configuration } from './configuration.js';
import { prose } from './fields.js';
import { loadTables, tables } from './tables.js';
import { base, may, page } from './page.js';
import { asked, daemon as words, say } from './words.js';

const EVERY = 3; // seconds
const ms = (seconds) => (seconds * 1000).toFixed(1);

function Figure({ name, value, small, share }) {
  return html`<div><dt>${name}</dt><dd>${value}</dd><dd class="small">${small || '\u00a0'}</dd>${share !== undefined && html`<dd class="share"><svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="b" width="100" height="4" rx="2" /><rect class=${share > 0.8 ? 'v much' : 'v'} width=${Math.max(1, 100 * Math.min(1, share))} height="4" rx="2" /></svg></dd>`}</div>`;
}

function Figures({ told }) {
  const { usage, counters } = told;
  const loop = store.daemonLoad.loop ?? told.loop;
  const most = usage.descriptors_limit;
  const peak = bytes(usage.peak);
  return html`<dl class="figures-of" aria-label=${words.figures}>
    <${Figure} name=${words.memory} value=${amount(bytes(usage.rss))} small=${peak && words.peak(peak.join(' '))} />
    <${Figure} name=${words.lag} value=${amount([ms(loop.p99), 'ms'])} small=${words.lagIs(ms(loop.p50), ms(loop.max))} />
    <${Figure} name=${words.descriptors} value=${count(usage.descriptors)} small=${words.of(most === null ? words.unlimited : count(most))} share=${most ? usage.descriptors / most : undefined} />
    <${Figure} name=${words.time} value=${amount([usage.cpu_seconds.toFixed(1), 's'])} small=${`${usage.threads} ${words.threads.toLowerCase()}`} />
    <${Figure} name=${words.connections} value=${count(counters.connections)} small=${counters.refused ? words.refused(count(counters.refused)) : ''} />
    <${Machine} told=${told.host} /></dl>`;
}

/** What the whole machine is at: its processors as of this second, where somebody has looked already. */
function Machine({ told }) {
  const live = store.hostLoad;
  const total = told.memory_total;
  const used = live ? live.memory : total - told.memory_available;
  const load = (live || told).load[0].toFixed(2);
  const known = typeof live?.cpu === 'number';
  return html`<${Figure} name=${words.machine} value=${known ? amount([live.cpu.toFixed(0), '%']) : load} small=${known ? words.machineIs(load, bytes(used).join(' '), bytes(total).join(' ')) : words.memoryIs(bytes(used).join(' '), bytes(total).join(' '))} />`;
}

/** What is under way, and a button that cancels it. */
function Jobs() {
  const { reply, error, ask } = useAsked('jobs', {}, 2);
  const [problem, setProblem] = useState({});
  const why = may('operator') ? (isLive() ? '' : say.notWhileNotLive) : say.mayNot(page.person || say.somebody, page.role, 'operator');
  const cancel = async (id) => {
    if (why) return;
    setProblem({});
    try {
      const { kept = {} } = await call('cancel', { id });
      const left = Object.entries(kept).map(([name, reason]) => `${name}: ${reason}`).join('; ');
      if (left) setProblem({ id, text: left });
    } catch (error) {
      setProblem({ id, text: error.message });
    }
    ask();
  };
  const jobs = reply?.jobs || [];
  return html`<section class="sheet" aria-labelledby="jobs-h" data-ctl="circusctl jobs"><header><h2 id="jobs-h">${words.jobs}</h2></header>
    ${error && html`<${NotAsked} what=${words.jobs} error=${error} ask=${ask} />`}
    ${jobs.length === 0 ? html`<p class="sum dim">${words.noJobs}</p>` : html`<div class="told-box" tabindex="0" role="group" aria-label=${words.jobs}><table class="tab compact jobs"><thead><tr>${words.jobHead.map((name, at) => html`<th scope="col">${at === 4 ? html`<span class="only-heard">${name}</span>` : name}</th>`)}</tr></thead>
      <tbody>${jobs.map((job) => html`<tr key=${job.id} data-job=${job.id}><th scope="row"><b>${job.command}</b> <span dir="auto">${visible(job.watcher || '')}</span></th><td dir="auto">${visible(job.by || '')}</td><td class="num">${job.since ? span(now() - job.since) : asked.none}</td>
        <td>${words.stateOf[job.state] || job.state}${job.total > 1 ? html`, ${words.done(job.done, job.total)}` : ''}${job.text ? html`<br /><span class="dim" dir="auto">${visible(job.text)}</span>` : ''}</td><td class="num"><button class="btn small" type="button" aria-label=${words.cancelOne(`${job.command} ${job.watcher || ''}`)} aria-disabled=${why ? 'true' : undefined} title=${why || undefined} data-ctl=${`circusctl cancel ${job.id}`} onClick=${() => cancel(job.id)}>${words.cancel}</button></td></tr>
        ${problem.id === job.id && html`<tr><td colspan="5"><p class="note" role="alert">${visible(problem.text)}</p></td></tr>`}`)}</tbody></table></div>`}</section>`;
}

function Connection({ row }) {
  const who = row.watcher ? html`<a class="name" href=${address({ name: row.watcher })}>${visible(row.watcher)}</a>` : visible(row.user || (row.uid === null ? words.bySession : String(row.uid)));
  return html`<tr><th scope="row" dir="auto">${who}</th><td class="num">${row.pid ?? asked.none}</td><td>${row.role || asked.none}</td><td class="dim">${visible(row.address)}</td><td class="num">${span(now() - row.since)}</td><td class="num">${amount(bytes(row.sent))}</td><td class="num">${row.queued ? html`<span class="is-wait">${amount(bytes(row.queued))}</span>` : html`<span class="dim">0</span>`}</td></tr>`;
}

function Doors({ doors }) {
  const right = [1, 4, 5, 6];
  return html`<section class="sheet" aria-labelledby="doors-h"><header><h2 id="doors-h">${words.doors}</h2></header><p class="sum dim">${words.doorsAre}</p>
    ${doors.map((door) => html`<section class="a-door" aria-label=${door.name} key=${door.name}><h3><b>${door.name}</b> <code>${visible(door.endpoint)}</code></h3>
      ${door.connections.length === 0 ? html`<p class="dim">${words.nobodyIn}</p>` : html`<div class="told-box" tabindex="0" role="group" aria-label=${door.name}><table class="tab compact"><thead><tr>${words.doorHead.map((name, at) => html`<th scope="col" class=${right.includes(at) ? 'num' : ''}>${name}</th>`)}</tr></thead>
        <tbody>${door.connections.map((row) => html`<${Connection} row=${row} />`)}</tbody></table></div>`}${door.count > door.connections.length && html`<p class="dim">${words.more(door.count - door.connections.length)}</p>`}</section>`)}</section>`;
}

const isUnset = (value) => value === null || value === '' || (Array.isArray(value) && !value.length);
const shown = (value) => (isUnset(value) ? asked.none : Array.isArray(value) ? value.join(', ') : typeof value === 'boolean' ? (value ? say.yes : say.no) : String(value));

function Value({ row, value }) {
  if (row.unit === 'bytes' && typeof value === 'number') return html`<b>${amount(bytes(value))}</b>`;
  return html`<b dir="auto">${visible(shown(value))}</b>${row.unit && value !== null ? html` <span class="unit">${row.unit}</span>` : ''}`;
}

function Settings() {
  const { reply, error, ask } = useAsked('globaloptions', { all: true });
  const [find, setFind] = useState('');
  const [all, setAll] = useState(false);
  useEffect(loadTables, []);
  if (error) return html`<${NotAsked} what=${words.settings} error=${error} ask=${ask} />`;
  if (!reply || !tables.ready) return null;
  const rows = tables.sections.circus.filter((row) => row.name in reply.options && `${row.name} ${row.doc}`.toLowerCase().includes(find.trim().toLowerCase()));
  const given = all || find.trim() ? rows : rows.filter((row) => !isUnset(reply.options[row.name]));
  return html`<section class="sheet settings" aria-labelledby="set-h" data-ctl="circusctl globaloptions --all"><header><h2 id="set-h">${words.settings}</h2><span class="grow"></span><label class="in filter">${icon('find')}<span class="only-heard">${words.findSetting}</span><input type="text" id="find-option" placeholder=${words.findSetting} spellcheck=${false} autocomplete="off" value=${find} onInput=${(event) => setFind(event.target.value)} /></label></header>
    <p class="sum dim">${words.settingsAre}</p>${rows.length === 0 ? html`<p class="sum">${words.noSetting}</p>` : html`<dl class="options-of">${given.map((row) => html`<div key=${row.name} class=${isUnset(reply.options[row.name]) ? 'unset' : ''}><dt><code>${row.name}</code><small>${row.apply === 'daemon' ? html`${icon('restart')} ${words.restart}` : words.live}</small></dt><dd><${Value} row=${row} value=${reply.options[row.name]} /><p>${prose(row.doc)}</p></dd></div>`)}</dl>`}
    ${given.length < rows.length && html`<p class="sum"><button class="btn" type="button" aria-expanded="false" onClick=${() => setAll(true)}>${words.showUnset(rows.length - given.length)}</button></p>`}</section>`;
}

function Limits({ limits }) {
  const value = (number) => (number === null ? html`<span class="dim">${words.unlimited}</span>` : count(number));
  return html`<section class="sheet"><details><summary>${words.limits}</summary><div class="told-box" tabindex="0" role="group" aria-label=${words.limits}><table class="tab compact"><thead><tr>${words.limitHead.map((name, at) => html`<th scope="col" class=${at === 1 || at === 2 ? 'num' : ''}>${name}</th>`)}</tr></thead>
    <tbody>${limits.map((row) => html`<tr><th scope="row"><code>${row.name}</code> <span class="dim">${row.doc}</span></th><td class="num">${value(row.soft)}</td><td class="num">${value(row.hard)}</td><td class="dim">${row.unit}</td></tr>`)}</tbody></table></div></details></section>`;
}

export function DaemonPage() {
  useTitle(words.title);
  const { reply, error, ask } = useAsked('daemon', {}, EVERY);
  return html`<main id="page" class="page daemon-page"><header class="head-of"><div><h1>${words.title}</h1><p class="explain">${reply ? words.lead(reply.version, reply.name, reply.pid, span(now() - reply.started)) : ''} <a href=${`${base}/metrics`} data-ctl="circusctl metrics" target="_blank" rel="noopener">${words.metrics}</a></p></div></header>
    ${error && html`<${NotAsked} what=${words.title} error=${error} ask=${ask} />`}
    ${!reply ? !error && html`<${Loading} />` : html`<${Figures} told=${reply} />
      <div class="columns"><div><${Configuration} files=${reply.configuration.files} /><${Jobs} /><section class="sheet" aria-labelledby="ends-h"><header><h2 id="ends-h">${words.ends}</h2></header><div class="blank"><p>${words.endsAre}</p><div class="row">
          <${FormLink} href=${`${base}/c/reload`} line="circusctl reload" picture="reload">${words.reloadAll}<//><${FormLink} kind="grave" href=${`${base}/c/quit`} line="circusctl quit" picture="stop">${words.quit}<//></div></div></section></div>
        <div><${Doors} doors=${reply.doors} /></div></div><${Settings} /><${Limits} limits=${reply.limits} />`}</main>`;
}
