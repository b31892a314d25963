// One command of the table: its form, what it will do, its line for the shell, and what came of it.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { html, icon, mark } from './shapes.js';
import { visible } from './ansi.js';
import { span } from './format.js';
import { byName, isLive, now, store, watcherNamed } from './store.js';
import { base, may, page } from './page.js';
import { call, CommandError, problemsOf } from './commands.js';
import { apiAddress, commandAddress, commandNamed, curlOf, fieldsOf, followLine, initial, lineOf, loadTables, missing, optionNamed, propertiesOf, sectionOf, tables, watcherField } from './tables.js';
import { Field, optionText, Options, prose } from './fields.js';
import { Loading } from './frame.js';
import { addAgain, AGAIN, kept } from './again.js';
import { Confirm, Hits, processes, running } from './confirm.js';
import { chosenWatchers, meant, targetOf } from './view.js';
import { Reply } from './reply.js';
import { say, verbs } from './words.js';

const CHECK_AFTER = 200; // milliseconds without a key before what is typed is checked

function Crumb({ row }) {
  return html`<nav class="crumb" aria-label=${say.where}><a href=${`${base}/c/`}>${say.commands}</a><svg class="i" aria-hidden="true"><use href="#i-chev" /></svg><span>${row.name}</span></nav>`;
}

/** The watchers that a command with these values is for; null where it is for none, or where the daemon chooses. */
export function hit(row, held) {
  const field = watcherField(row);
  const all = byName();
  if (!field) return row.effect === 'destroy' && row.scope === 'daemon' ? all : null;
  const text = String(held[field.name] || '').trim();
  if (!text) return row.effect === 'destroy' ? all : null;
  if (field.type !== 'strings') return meant(text, held.match, all);
  const several = new Set(text.split(/\s+/).flatMap((one) => meant(one, held.match, all)));
  return all.filter((watcher) => several.has(watcher));
}

/** What each changed option does, and how many processes it replaces. */
function steps(row, field, held, list) {
  const number = list?.reduce((sum, watcher) => sum + running(watcher).length, 0) || 0;
  const steps = [];
  let replaced = false;
  for (const [key, value] of Object.entries(held[field.name])) {
    const option = optionNamed(sectionOf(row, field), key);
    const replaces = Boolean(option) && option.apply !== 'live';
    replaced ||= replaces;
    steps.push([key, option?.secret ? say.notShown : optionText(option || { widget: 'text' }, value) || say.noneGiven, key === 'numprocesses' ? say.applies.number : replaces ? say.replaces(number) : say.applies.live]);
  }
  return { steps, replaced: replaced ? number : 0 };
}

function Plan({ row, held }) {
  const list = hit(row, held);
  const field = row.args.find((one) => one.type === 'object' && one.positional);
  const { steps: listed, replaced } = field ? steps(row, field, held, list) : { steps: [], replaced: 0 };
  const name = watcherField(row);
  let told = say.effects[row.effect];
  if (field && listed.length) told = replaced ? say.willReplace(replaced) : say.willReplaceNone;
  return html`<section class="sheet" aria-labelledby="plan-h"><header><h2 id="plan-h">${say.whatItDoes}</h2></header><p class="sum" role="status">${told}</p>
    ${listed.length > 0 && html`<ol class="steps">${listed.map(([key, value, when]) => html`<li><span><b>${key}</b> → ${visible(value)}</span><span class="dim">${when}</span></li>`)}</ol>`}
    ${list && list.length > 0 && html`<${Hits} list=${list} pid=${held.pid} />`}
    ${list && list.length === 0 && html`<p class="sum is-wait">${say.noneHit}</p>`}
    ${!list && name && html`<p class="sum dim">${prose(name.doc)}</p>`}</section>`;
}

/** A line for the shell, and a button that copies it. */
function ShellLine({ line, what, children }) {
  const [done, setDone] = useState('');
  const copy = () => navigator.clipboard.writeText(line).then(() => setDone(line)).catch(() => {});
  return html`<div class="shell"><pre tabindex="0" aria-label=${what}><i aria-hidden="true">$</i> ${children}</pre><button class="btn small quiet" type="button" aria-label=${say.copyLine(what)} onClick=${copy}>${icon('copy')}${done === line ? say.copied : verbs.copy}</button></div>`;
}

/** The lines that do the same in a shell, and by a program. */
function Shell({ line, curl }) {
  return html`<section class="sheet" aria-labelledby="shell-h"><header><h2 id="shell-h">${say.onTheLine}</h2></header>
    <div class="clis"><${ShellLine} line=${line} what="circusctl"><code data-line>${line}</code><//>
      <${ShellLine} line=${curl} what="curl"><code data-curl>${curl}</code><//></div></section>`;
}

/** How a program asks for the same: the addresses of the HTTP API. */
function Api() {
  const lines = [[say.apiDocument, `curl ${apiAddress('openapi.json')}`], [say.apiLogs, followLine(`logs/${byName().find((watcher) => watcher.kind === 'watcher')?.name || 'NAME'}`)], [say.apiEvents, followLine('events?lines=20')]];
  return html`<section class="sheet" id="api" aria-labelledby="api-h"><header><h2 id="api-h">${say.httpApi}</h2></header>
    <div class="blank api"><p>${say.apiIs}</p><p class="dim">${say.apiToken}</p>
      ${lines.map(([what, line]) => html`<div><h3>${what}</h3><div class="clis"><${ShellLine} line=${line} what=${what}><code>${line}</code><//></div></div>`)}</div></section>`;
}

/** What is going on while the daemon is at it. */
function Doing({ row, since, held }) {
  const jobs = (hit(row, held) || []).filter((watcher) => watcher.job).map((watcher) => `${watcher.name}: ${watcher.job.command}${watcher.job.total > 1 ? ` ${say.outOf(watcher.job.done, watcher.job.total)}` : ''}`);
  return html`<section class="sheet" aria-labelledby="done-h" data-state="busy"><header><h2 id="done-h">${say.doing(row.name)}</h2></header><p class="sum" role="status">${say.askedAt} <span aria-live="off">${span(now() - since)}</span>${jobs.length ? html`; ${visible(jobs.join(', '))}` : ''}</p></section>`;
}

/** What was removed can be added again as it was, for a while. */
function Again({ list }) {
  const [told, setTold] = useState(null);
  const [late, setLate] = useState(false);
  useEffect(() => { const timer = setTimeout(() => setLate(true), AGAIN); return () => clearTimeout(timer); }, []);
  const add = async () => {
    setTold(say.addingAgain(list.length));
    const failed = Object.entries(await addAgain(list));
    setTold([say.addedAgain(list.length - failed.length), ...failed.map(([name, why]) => `${name}: ${why}`)].join('; '));
  };
  if (told === null && late) return null;
  return html`<div class="answer">${told === null ? html`<button class="btn" type="button" data-what="again" onClick=${add}>${say.addAgain(list.length)}</button>` : html`<p role="status">${visible(told)}</p>`}</div>`;
}

function Done({ row, done, dismiss }) {
  if (done.error) {
    const { error } = done;
    const hint = error.status === 0 && row.name === 'quit' ? say.consoleEndsToo : error.hint;
    return html`<section class="sheet" aria-labelledby="done-h" data-state="error"><header><h2 id="done-h"><span class="st is-fail">${mark('fail')}${error.isOpen ? say.notKnown(row.name) : say.notDone(row.name)}</span></h2><span class="grow"></span><button class="btn small quiet" type="button" onClick=${dismiss}>${verbs.dismiss}</button></header>
      <p class="sum" role="alert">${visible(error.message)}${hint ? html`; <b>${visible(hint)}</b>` : ''}${error.id ? html` <code>id ${error.id}</code>` : ''}</p></section>`;
  }
  return html`<section class="sheet" aria-labelledby="done-h" data-state="done"><header><h2 id="done-h"><span class="st is-run">${mark('run')}${done.trial ? say.trialDone : say.done(row.name, done.waited)}</span></h2></header>
    <div class="answer" role="status"><${Reply} row=${row} reply=${done.reply} /></div>${done.again?.length > 0 && html`<${Again} list=${done.again} />`}</section>`;
}

function notHere(row) {
  const field = watcherField(row);
  const list = byName();
  return html`<section class="sheet"><div class="blank"><p>${field ? say.leadsToLog : say.onlyShell}</p>
    ${field && html`<ul class="leads">${list.slice(0, 200).map((watcher) => html`<li><a class="say" href=${`${base}/w/${encodeURIComponent(watcher.name)}`} dir="auto">${visible(watcher.name)}</a></li>`)}</ul>`}
    ${!field && html`<p><a class="say" href=${`${base}/c/`}>${say.allCommands}</a></p>`}</div></section>`;
}

/** Everything that is typed, and what is wrong with it by the daemon's words; checked when typing stops. */
function useForm(row, params) {
  const [held, setHeld] = useState(() => ({
    ...Object.fromEntries(fieldsOf(row).map((field) => {
      const given = field.type !== 'object' && params.get(field.name);
      return [field.name, given === null || given === false ? initial(field) : field.type === 'bool' ? given !== 'false' : given];
    })),
    // A list of many names is too long for an address.
    ...(params.has('chosen') && chosenWatchers().length ? targetOf(chosenWatchers()) : {}),
  }));
  const [problems, setProblems] = useState({});
  const asked = useRef(0);
  const properties = propertiesOf(row, held);
  const text = JSON.stringify(properties);
  useEffect(() => {
    asked.current += 1;
    const turn = asked.current;
    const timer = setTimeout(() => problemsOf(row.name, properties).then((found) => { if (turn === asked.current) setProblems(found); }, () => {}), CHECK_AFTER);
    return () => clearTimeout(timer);
  }, [text]);
  const change = (name, value) => setHeld((before) => ({ ...before, [name]: value }));
  return { held, setHeld, problems, setProblems, change, properties };
}

/** Fills the form of a new watcher with what another one is; what is wrong where it can't be asked. */
function useOther(row, like, setHeld) {
  const [problem, setProblem] = useState('');
  useEffect(() => {
    if (!like || row.name !== 'add') return;
    kept([watcherNamed(like) || { name: like }]).then(([other]) => {
      const { cmd, ...options } = other.options;
      setHeld((before) => ({ ...before, cmd: String(cmd ?? ''), start: other.start, options }));
    }).catch((error) => setProblem(error.message));
  }, []);
  return problem;
}

/** What a watcher's options are now, for a form that changes them. */
function useCurrent(row, name, turn) {
  const [current, setCurrent] = useState(null);
  const wanted = row.args.some((field) => field.type === 'object' && field.positional) && watcherNamed(name)?.name;
  useEffect(() => {
    let open = true;
    setCurrent(null);
    if (wanted) call('options', { name: wanted }).then((told) => { if (open) setCurrent(told.options || {}); }, () => {});
    return () => { open = false; };
  }, [wanted, turn]);
  return current;
}

function Form({ row, params }) {
  const { held, setHeld, problems, setProblems, change, properties } = useForm(row, params);
  const like = row.name === 'add' ? params.get('like') : '';
  const unlike = useOther(row, like, setHeld);
  const [busy, setBusy] = useState(0);
  const [done, setDone] = useState(null);
  const [asks, setAsks] = useState(false);
  const [turn, setTurn] = useState(0);
  const current = useCurrent(row, String(held.name || ''), turn);
  const empty = missing(row, held);
  const wrong = Object.keys(problems);
  const trial = row.args.find((field) => field.name === 'dry_run');
  const mayNot = may(row.role) ? '' : say.mayNot(page.person || say.somebody, page.role, row.role);
  const why = mayNot || (!isLive() ? say.notWhileNotLive : '');
  const line = lineOf(row, held);
  const barred = why || (wrong.length ? say.putRight(wrong) : empty.length ? say.isMissing(empty) : '');
  const send = async (more = {}) => {
    setAsks(false);
    setBusy(now());
    setDone(null);
    const sent = { ...properties, ...more };
    const waits = row.waits && sent.waiting;
    try {
      const again = row.name === 'rm' && !sent.nostop ? await kept(hit(row, held)) : [];
      const reply = await call(row.name, sent);
      setDone({ reply, again, waited: waits, trial: Boolean(sent.dry_run) });
      // What was changed is what is there now.
      for (const field of row.args) if (field.type === 'object' && field.positional) { change(field.name, {}); setTurn((before) => before + 1); }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      setDone({ error });
      if (error.field) setProblems((before) => ({ ...before, [error.field]: { text: error.message, hint: error.hint } }));
    } finally {
      setBusy(0);
    }
  };
  // What is left to do has the focus: the first field that wants something, or the button.
  useEffect(() => { document.getElementById(empty.length ? `f-${empty[0]}` : 'run')?.focus({ preventScroll: true }); }, []);
  const run = (event) => {
    event?.preventDefault();
    if (barred || busy) return;
    if (row.effect === 'destroy') setAsks(true); else send();
  };
  const keys = (event) => { if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) run(event); };
  const result = busy ? html`<${Doing} row=${row} since=${busy} held=${held} />` : done ? html`<${Done} row=${row} done=${done} dismiss=${() => setDone(null)} />` : null;
  return html`<form class="edit" data-command=${row.name} onSubmit=${run} onKeyDown=${keys} noValidate>
    <div class="page-form">${like && html`<p class=${unlike ? 'is-fail' : 'dim'} role="status">${unlike || say.likeOther(visible(like))}</p>`}${fieldsOf(row).length === 0 ? html`<section class="sheet"><div class="blank"><p>${say.takesNothing}</p></div></section>` : html`
      <section class="sheet" aria-labelledby="form-h"><header><h2 id="form-h">${say.given}</h2></header>
        ${fieldsOf(row).filter((field) => field.type !== 'object').map((field) => html`<${Field} key=${field.name} field=${field} held=${held} problem=${problems[field.name]} change=${change} why=${mayNot} />`)}</section>
      ${row.args.filter((field) => sectionOf(row, field)).map((field) => html`<${Options} key=${field.name} row=${row} field=${field} held=${held} problems=${problems} change=${change} current=${current} />`)}`}${row.effect === 'read' && result}</div>
    <aside class="plan">${row.effect !== 'read' && result}
      <${Plan} row=${row} held=${held} /><${Shell} line=${line} curl=${curlOf(row, held)} /></aside>
    <div class="apply" role="group" aria-label=${say.doThis}>${barred && html`<span class=${`st ${wrong.length ? 'is-fail' : 'is-rest'}`} id="barred">${wrong.length > 0 && mark('fail')}<span>${barred}</span></span>`}<span class="grow"></span>
      ${trial && html`<button class="btn" type="button" id="trial" aria-disabled=${barred || busy ? 'true' : undefined} onClick=${() => { if (!barred && !busy) send({ dry_run: true }); }}>${say.tryOnly}</button>`}
      <button class=${`btn main${row.effect === 'destroy' ? ' ends' : ''}`} type="submit" id="run" data-ctl=${line} aria-disabled=${barred ? 'true' : undefined} aria-busy=${busy ? 'true' : undefined} aria-describedby=${barred ? 'barred' : undefined}
        title=${barred || undefined}>${say.run(row.name, row.effect === 'destroy')} <kbd>Ctrl Enter</kbd></button></div>
    </form>${asks && html`<${Confirm} row=${row} doc=${row.doc} list=${hit(row, held) || []} pid=${held.pid} named=${!watcherField(row) || Boolean(held.name)} line=${line} onYes=${() => send()} onNo=${() => setAsks(false)} />`}`;
}

/** All commands: what the palette finds, to be read. */
function List() {
  const scopes = [...new Set(tables.commands.map((row) => row.scope))];
  return html`<main id="page" class="page"><div><h1>${say.commands}</h1><p class="explain">${say.commandsAre(tables.commands.length)}</p></div>
    ${scopes.map((scope) => html`<section class="sheet" aria-labelledby=${`scope-${scope}`}><header><h2 id=${`scope-${scope}`}>${say.scopes[scope]}</h2></header><ul class="commands">${tables.commands.filter((row) => row.scope === scope).map((row) => html`<li>
      <a class="name" href=${commandAddress(row)} data-ctl=${row.example}>${row.name}</a><span>${prose(row.summary)}</span><span class="dim">${say.effectWord[row.effect]}${may(row.role) ? '' : `, ${say.needs(row.role)}`}</span></li>`)}</ul></section>`)}<${Api} /></main>`;
}

export function CommandPage({ rest: name, params }) {
  useEffect(() => { loadTables(); }, []);
  useEffect(() => { document.title = `${name || say.commands} · ${store.daemon?.host || 'circus'} · circus`; });
  if (!tables.ready || !store.daemon) {
    return html`<main id="page" class="page"><h1 class="only-heard">${name || say.commands}</h1>${tables.problem ? html`<section class="sheet"><div class="blank"><p role="alert">${say.noTables(tables.problem)}</p></div></section>` : html`<${Loading} />`}</main>`;
  }
  if (!name) return html`<${List} />`;
  const row = commandNamed(name);
  if (!row) return html`<main id="page" class="page"><section class="sheet"><div class="blank"><h1>${say.noCommand(name)}</h1><a class="btn" href=${`${base}/c/`}>${say.allCommands}</a></div></section></main>`;
  return html`<main id="page" class="page one-command"><${Crumb} row=${row} /><header class="title-of"><div class="title"><h1>${row.name}</h1><span class="tag">${say.needs(row.role)}</span><span class="tag">${say.effectWord[row.effect]}</span></div>
    <p class="explain"><b>${prose(row.summary[0].toUpperCase() + row.summary.slice(1))}.</b> ${prose(row.doc)}</p>${row.example && html`<p class="dim">${say.example} <code>${row.example}</code></p>`}</header>
    ${row.where === 'client' ? notHere(row) : html`<${Form} key=${`${row.name} ${params}`} row=${row} params=${params} />`}</main>`;
}
