// The way from an empty daemon to the first running watcher: type a command, see it run, keep it.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { html, icon, mark } from './shapes.js';
import { visible } from './ansi.js';
import { word } from './format.js';
import { byName, isLive } from './store.js';
import { address } from './overview.js';
import { view } from './view.js';
import { WatcherState } from './parts.js';
import { call, CommandError, problemsOf } from './commands.js';
import { useTitle } from './asked.js';
import { base, may, page } from './page.js';
import { first as words, say } from './words.js';

const CHECK_AFTER = 200; // milliseconds without a key before what is typed is checked

/** A name from a command: its program's, without folders, in letters that need no quotes. */
export function nameFrom(command) {
  const program = command.trim().split(/\s+/)[0] || '';
  return program.split('/').at(-1).replace(/[^\w.-]/g, '').slice(0, 40);
}

/** What is wrong by the daemon's words, by field; asked when typing stops. */
function useProblems(properties) {
  const [problems, setProblems] = useState({});
  const text = JSON.stringify(properties);
  const turn = useRef(0);
  useEffect(() => {
    turn.current += 1;
    const mine = turn.current;
    const timer = setTimeout(() => problemsOf('add', properties).then((found) => { if (mine === turn.current) setProblems(found); }, () => {}), CHECK_AFTER);
    return () => clearTimeout(timer);
  }, [text]);
  return problems;
}

function Step({ number, title, children }) {
  return html`<li class="sheet step"><header><span class="number" aria-hidden="true">${number}</span><h2>${title}</h2></header><div class="blank">${children}</div></li>`;
}

function Box({ id, label, help, problem, kind = '', ...input }) {
  return html`<div class=${`of-first ${kind}`}><label for=${id}>${label}</label><div class="in wide"><input id=${id} type="text" spellcheck=${false} autocomplete="off" aria-invalid=${problem ? 'true' : undefined} aria-describedby=${`${id}-help`} ...${input} /></div>
    <p class=${problem ? 'is-fail' : 'dim'} id=${`${id}-help`} role=${problem ? 'status' : undefined}>${problem ? `${problem.text}${problem.hint ? `; ${problem.hint}` : ''}` : help}</p></div>`;
}

export function FirstPage({ visit }) {
  useTitle(words.title);
  const [typed, setTyped] = useState({ cmd: '', name: '', number: '1' });
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState(null);
  const name = typed.name || nameFrom(typed.cmd);
  const options = typed.number === '1' ? {} : { numprocesses: typed.number };
  const properties = { name, cmd: typed.cmd, start: true, ...(Object.keys(options).length ? { options } : {}) };
  const problems = useProblems(properties);
  const wrong = Object.keys(problems).length > 0;
  const barred = !may('admin') ? words.noAdmin(page.person || say.somebody, page.role) : !isLive() ? say.notWhileNotLive : !typed.cmd.trim() || !name ? words.missing : '';
  const set = (key) => (event) => setTyped((before) => ({ ...before, [key]: event.target.value }));
  const start = async (event) => {
    event.preventDefault();
    if (barred || wrong || busy) return;
    setBusy(true);
    setFailed(null);
    view.first = true; // this page stays until it is known what has become of it
    try {
      await call('add', { ...properties, waiting: true });
      visit(address({ name }));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // What was added and could not be started has a page that says why.
      if (byName().some((watcher) => watcher.name === name)) visit(address({ name })); else setFailed(error);
    } finally {
      view.first = false;
      setBusy(false);
    }
  };
  const line = `circusctl add --start${typed.number === '1' ? '' : ` --numprocesses ${word(typed.number)}`} ${word(name || 'NAME')} ${word(typed.cmd || 'CMD')}`;
  const section = [`[watcher:${name || 'NAME'}]`, `cmd = ${typed.cmd || 'CMD'}`, ...(typed.number === '1' ? [] : [`numprocesses = ${typed.number}`])].join('\n');
  const others = byName();
  return html`<main id="page" class="page first-page"><div><h1>${words.title}</h1><p class="explain">${words.lead}</p></div>
    <form onSubmit=${start} noValidate><ol class="steps-of">
      <${Step} number="1" title=${words.one}>
        <${Box} id="first-cmd" label=${words.command} help=${words.commandHelp} problem=${problems.cmd} kind="whole-line" value=${typed.cmd} onInput=${set('cmd')} />
        <div class="two"><${Box} id="first-name" label=${words.name} help=${words.nameHelp} problem=${problems.name} value=${name} onInput=${set('name')} /><${Box} id="first-number" label=${words.processes} help=${'\u00a0'} problem=${problems.numprocesses} value=${typed.number} inputmode="numeric" onInput=${set('number')} /></div>
        <div class="row examples"><span class="dim">${words.examples}</span>${words.exampleList.map(([title, cmd, called]) => html`<button class="btn small" type="button" onClick=${() => setTyped({ cmd, name: called, number: '1' })}>${title}</button>`)}</div><//>
      <${Step} number="2" title=${words.two}><p>${words.twoHelp}</p>
        <div class="row"><button class="btn main" type="submit" id="first-start" data-ctl=${line} aria-disabled=${barred || wrong ? 'true' : undefined} aria-busy=${busy ? 'true' : undefined} aria-describedby="first-why">${icon('start')}${busy ? words.starting : words.start}</button>
          <span id="first-why" role="status" class=${`st ${barred ? 'is-rest' : wrong ? 'is-fail' : 'is-run'}`}>${!barred && mark(wrong ? 'fail' : 'run')}<span>${barred || (wrong ? say.putRight(Object.keys(problems)) : words.valid)}</span></span></div>
        ${failed && html`<div class="note" role="alert"><span class="st is-fail">${mark('fail')}<span>${words.notStarted}</span></span><span class="why">${visible(failed.message)}${failed.hint ? html`; ${visible(failed.hint)}` : ''}</span></div>`}
        <pre class="line-of"><i aria-hidden="true">$</i> <code data-line>${visible(line)}</code></pre><p><a class="say" href=${`${base}/c/add`}>${words.more}</a></p><//>
      <${Step} number="3" title=${words.three}><p>${words.threeHelp}</p><h3>${words.file}</h3><pre><code data-file>${section.split('\n').map(visible).join('\n')}</code></pre>
        <div class="row"><a class="btn" href=${`${base}/daemon/`} data-ctl="circusctl save">${icon('down')}${words.toSave}</a></div><//></ol></form>
    ${others.length > 0 && html`<div class="row others">${others.map((watcher) => html`<a class="name" href=${address(watcher)} dir="auto">${visible(watcher.name)}</a><${WatcherState} watcher=${watcher} />`)}</div>`}</main>`;
}
