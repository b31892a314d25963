// Who may come in, what programs come in with, and who is in: all of it for an admin, and for everybody his own.

import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { html, icon, state } from './shapes.js';
import { visible } from './ansi.js';
import { Ask } from './ask.js';
import { call, CommandError } from './commands.js';
import { wait, word } from './format.js';
import { Loading } from './frame.js';
import { may, page } from './page.js';
import { isLive, now, store } from './store.js';
import { told } from './peoplewords.js';

const ASK_AGAIN = 15_000; // milliseconds: who is in changes without us

/** Whether all people are this person's to manage. */
const overAll = () => may('admin') && page.seesAll;

const split = (text) => text.split(/[\s,]+/).filter(Boolean);
const isNone = (epoch) => epoch === null || epoch === undefined;
const two = (number) => String(number).padStart(2, '0');
const JUST = 2; // seconds

/** How long ago that was. */
function since(epoch) {
  if (isNone(epoch)) return told.notYet;
  const seconds = now() - epoch;
  return seconds < JUST ? told.justNow : told.ago(wait(seconds));
}

/** Day and minute, as the clock of this browser has them. */
function moment(epoch, none) {
  if (isNone(epoch)) return none;
  const at = new Date(epoch * 1000);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}
const flag = (name, value) => (value ? ` --${name} ${word(value)}` : '');

function Name({ name, tag }) {
  return html`<b class="name" dir="auto">${visible(name)}</b>${tag && html`<span class="tag">${tag}</span>`}`;
}

function Patterns({ watchers, none = told.all }) {
  return watchers.length ? html`<code>${visible(watchers.join(' '))}</code>` : html`<span class="dim">${none}</span>`;
}

function Button({ label, what, line, grave, onClick }) {
  const why = isLive() ? '' : told.notLive;
  return html`<button class=${`btn small${grave ? ' grave' : ''}`} type="button" data-ctl=${line} aria-label=${what ? `${label}: ${what}` : undefined} aria-disabled=${why ? 'true' : undefined} title=${why || undefined}
    onClick=${() => { if (!why) onClick(); }}>${label}</button>`;
}

/** A table with a heading; below a certain width each row is a small sheet of its own. */
function List({ id, title, more, heads, rows, empty }) {
  return html`<section class="sheet" aria-labelledby=${`${id}-h`}><header><h2 id=${`${id}-h`}>${title}</h2>${rows.length > 0 && html`<span class="dim">${rows.length}</span>`}<span class="grow"></span>${more}</header>
    ${rows.length === 0 ? html`<div class="blank"><p>${empty}</p></div>` : html`<div class="told-box" tabindex="0" role="group" aria-label=${title}><table class="tab people-tab"><thead><tr>${heads.map((head) => html`<th scope="col" class=${head === told.actions ? 'does' : ''}>${head === told.actions ? html`<span class="only-heard">${head}</span>` : head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`}</section>`;
}

const roles = (highest = 'admin') => Object.entries(told.roles).slice(0, Object.keys(told.roles).indexOf(highest) + 1);
const newPassword = (required) => [
  { name: 'password', label: told.newPassword, kind: 'password', autocomplete: 'new-password', required, help: required ? '' : told.passwordHelp },
  { name: 'again', label: told.passwordAgain, kind: 'password', autocomplete: 'new-password', required },
];
const wrongPassword = ({ password, again }) => (password.length < 8 ? told.tooShort : password !== again ? told.notSame : '');

// --- what is asked ------------------------------------------------------------------------------------------------------

const asks = {
  add: () => ({
    title: told.addTitle, yes: told.addIt,
    fields: [
      { name: 'person', label: told.name, kind: 'text', required: true },
      { name: 'role', label: told.role, kind: 'select', choices: roles(), value: 'viewer' },
      { name: 'watchers', label: told.watchers, kind: 'text', help: told.watchersHelp },
      ...newPassword(false),
    ],
    wrong: (values) => (!values.person.trim() ? told.missing(told.name) : values.password || values.again ? wrongPassword(values) : ''),
    act: ({ person, role, watchers, password }) => call('addperson', { person: person.trim(), role, watchers: split(watchers).join(','), ...(password ? { password } : {}) }),
    line: ({ person, role, watchers, password }) => `circusctl addperson ${word(person || 'PERSON')} --role ${role}${flag('watchers', split(watchers).join(','))}${password ? ' --password-file -' : ''}`,
  }),
  change: (row) => ({
    title: told.changeTitle(row.person), yes: told.save, text: told.changeHelp,
    fields: [
      { name: 'role', label: told.role, kind: 'select', choices: roles(), value: row.role },
      { name: 'watchers', label: told.watchers, kind: 'text', help: told.watchersHelp, value: row.watchers.join(', ') },
      { name: 'disabled', label: told.keepOut, kind: 'tick', value: row.disabled },
    ],
    act: ({ role, watchers, disabled }) => call('setperson', { person: row.person, role, watchers: split(watchers).join(',') || '*', disabled: disabled ? 'yes' : 'no' }),
    line: ({ role, watchers, disabled }) => `circusctl setperson ${word(row.person)} --role ${role} --watchers ${word(split(watchers).join(',') || '*')} --disabled ${disabled ? 'yes' : 'no'}`,
  }),
  password: (row, own) => ({
    title: own ? told.ownPasswordTitle : told.passwordTitle(row.person), yes: told.setIt, text: told.passwordEnds,
    fields: [...(own && row.password !== false ? [{ name: 'current', label: told.nowPassword, kind: 'password', autocomplete: 'current-password', required: true }] : []), ...newPassword(true)],
    wrong: wrongPassword,
    act: ({ password, current }) => call('password', { person: row.person, password, ...(current ? { current } : {}) }),
    line: () => `circusctl password ${word(row.person)}`,
  }),
  remove: (row) => ({
    title: told.removeTitle(row.person), text: told.removeText, yes: told.remove, grave: true,
    act: () => call('rmperson', { person: row.person }),
    line: () => `circusctl rmperson ${word(row.person)}`,
  }),
  token: (people, show) => ({
    title: told.tokenTitle, yes: told.makeIt,
    fields: [
      { name: 'token', label: told.name, kind: 'text', required: true, help: told.tokenHelp },
      ...(people.length > 1 ? [{ name: 'person', label: told.person, kind: 'select', choices: people.map((row) => [row.person, row.person]), value: (people.find((row) => row.person === page.person) || people[0]).person }] : []),
      { name: 'role', label: told.role, kind: 'select', choices: roles(overAll() ? 'admin' : page.role), value: 'viewer' },
      { name: 'watchers', label: told.watchers, kind: 'text', help: told.tokenWatchersHelp },
      { name: 'expires', label: told.expires, kind: 'select', choices: told.lives, value: '7776000' },
    ],
    wrong: ({ token }) => (token.trim() ? '' : told.missing(told.name)),
    act: async ({ token, person, role, watchers, expires }) => {
      const reply = await call('addtoken', { person: person || people[0].person, token: token.trim(), role, watchers: split(watchers).join(','), ...(expires ? { expires: Number(expires) } : {}) });
      show({ name: token.trim(), secret: reply.secret });
    },
    line: ({ token, person, role, watchers, expires }) => `circusctl addtoken ${word(person || people[0].person)} ${word(token || 'TOKEN')} --role ${role}${flag('watchers', split(watchers).join(','))}${flag('expires', expires)}`,
  }),
  revoke: (row) => ({
    title: told.revokeTitle(row.token), text: told.revokeText, yes: told.revoke, grave: true,
    act: () => call('rmtoken', { id: row.id }),
    line: () => `circusctl rmtoken ${row.id}`,
  }),
  end: (row) => ({
    title: told.endTitle(row.person), text: row.own ? told.endOwn : told.endText, yes: told.end, grave: true,
    act: () => call('endsession', { session: row.id }),
    line: () => `circusctl endsession ${row.id}`,
  }),
};

/** A new token, this once. */
function Shown({ name, secret, onClose }) {
  const dialog = useRef();
  const [copied, setCopied] = useState(false);
  useEffect(() => { if (!dialog.current.open) dialog.current.showModal(); }, []);
  const copy = () => navigator.clipboard.writeText(secret).then(() => setCopied(true)).catch(() => {});
  return html`<dialog class="keys question" ref=${dialog} onClose=${onClose} aria-labelledby="shown-h"><header><h2 id="shown-h">${visible(told.shownTitle(name))}</h2></header>
    <div class="asked"><p class="soft">${told.shownText}</p>
      <div class="secret"><code data-secret tabindex="0">${secret}</code><button class="btn small" type="button" autofocus onClick=${copy}>${icon('copy')}${copied ? told.copied : told.copy}</button><span class="only-heard" role="status">${copied ? told.copied : ''}</span></div>
      <p class="soft">${told.shownUse} <code>Authorization: Bearer …</code></p>
      <div class="row"><button class="btn main" type="button" onClick=${onClose}>${told.close}</button></div></div></dialog>`;
}

// --- what there is ------------------------------------------------------------------------------------------------------

/** People, tokens and sessions, as they are; asked again after each change and now and then. */
function useAccess() {
  const [found, setFound] = useState({ people: null, tokens: [], sessions: [], problem: '' });
  const load = async () => {
    try {
      const [people, tokens, sessions] = await Promise.all([overAll() ? call('people') : { people: [] }, page.hasAccount || overAll() ? call('tokens') : { tokens: [] }, call('sessions')]);
      setFound({ people: people.people, tokens: tokens.tokens, sessions: sessions.sessions, problem: '' });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      setFound((before) => ({ ...before, problem: error.message }));
    }
  };
  useEffect(() => {
    load();
    const timer = setInterval(() => { if (!document.hidden && isLive()) load(); }, ASK_AGAIN);
    return () => clearInterval(timer);
  }, []);
  return [found, load];
}

function comesIn(row) {
  if (row.disabled) return state('rest', told.disabled);
  const ways = [row.password && told.byPassword, row.tokens > 0 && told.byTokens(row.tokens)].filter(Boolean);
  return ways.length ? ways.join(', ') : html`<span class="dim">${told.byNothing}</span>`;
}

function People({ people, ask }) {
  return html`<${List} id="people" title=${told.people} empty=${told.nobody} heads=${[told.name, told.role, told.watchers, told.comesIn, told.actions]}
    more=${html`<button class="btn small main" type="button" id="add-person" data-ctl="circusctl addperson PERSON --role viewer" onClick=${() => ask(asks.add())}>${icon('plus')}${told.add}</button>`}
    rows=${people.map((row) => html`<tr key=${row.person} data-person=${row.person}><th scope="row"><${Name} name=${row.person} tag=${row.person === page.person && page.hasAccount && told.you} /></th><td data-head=${told.role}>${row.role}</td><td data-head=${told.watchers}><${Patterns} watchers=${row.watchers} /></td><td data-head=${told.comesIn}>${comesIn(row)}</td>
      <td class="does"><${Button} label=${told.change} what=${row.person} line=${`circusctl setperson ${word(row.person)} --role ${row.role}`} onClick=${() => ask(asks.change(row))} />
        <${Button} label=${told.password} what=${row.person} line=${`circusctl password ${word(row.person)}`} onClick=${() => ask(asks.password(row, row.person === page.person && page.hasAccount))} />
        <${Button} label=${told.remove} what=${row.person} grave line=${`circusctl rmperson ${word(row.person)}`} onClick=${() => ask(asks.remove(row))} /></td></tr>`)} />`;
}

function Tokens({ tokens, people, ask, show }) {
  const mine = !overAll();
  const owners = mine ? [{ person: page.person }] : people;
  return html`<${List} id="tokens" title=${mine ? told.yourTokens : told.tokens} empty=${told.noTokens} heads=${[told.tokenName, ...(mine ? [] : [told.person]), told.role, told.watchers, told.used, told.ends, told.actions]}
    more=${owners.length > 0 && html`<button class="btn small" type="button" id="make-token" data-ctl=${`circusctl addtoken ${word(owners[0].person)} TOKEN`} onClick=${() => ask(asks.token(owners, show))}>${icon('plus')}${told.make}</button>`}
    rows=${tokens.map((row) => html`<tr key=${row.id} data-token=${row.token}><th scope="row"><${Name} name=${row.token} /></th>${!mine && html`<td data-head=${told.person} dir="auto">${visible(row.person)}</td>`}<td data-head=${told.role}>${row.role}</td><td data-head=${told.watchers}><${Patterns} watchers=${row.watchers} none=${mine ? told.asYou : told.asPerson} /></td>
      <td data-head=${told.used}>${since(row.used)}</td><td data-head=${told.ends}>${moment(row.expires, told.never)}</td>
      <td class="does"><${Button} label=${told.revoke} what=${row.token} grave line=${`circusctl rmtoken ${row.id}`} onClick=${() => ask(asks.revoke(row))} /></td></tr>`)} />`;
}

function Sessions({ sessions, ask }) {
  return html`<${List} id="sessions" title=${overAll() ? told.sessions : told.yourSessions} empty=${told.noSessions} heads=${[told.person, told.role, told.from, told.used, told.ends, told.actions]}
    rows=${[...sessions].reverse().map((row) => html`<tr key=${row.id} data-session=${row.id}><th scope="row"><${Name} name=${row.person} tag=${row.own && told.thisOne} /></th><td data-head=${told.role}>${row.role}</td><td data-head=${told.from}>${visible(row.address || '–')}</td>
      <td data-head=${told.used}>${since(row.used)}</td><td data-head=${told.ends}>${moment(row.ends, told.never)}</td>
      <td class="does"><${Button} label=${told.end} what=${row.person} grave line=${`circusctl endsession ${row.id}`} onClick=${() => ask(asks.end(row))} /></td></tr>`)} />`;
}

export function PeoplePage() {
  const [found, load] = useAccess();
  const [asked, setAsked] = useState(null);
  const [shown, setShown] = useState(null);
  const title = overAll() ? told.title : told.own;
  useEffect(() => { document.title = `${title} · ${store.daemon?.host || 'circus'} · circus`; });
  if (found.people === null) {
    return html`<main id="page" class="page"><h1 class="only-heard">${title}</h1>${found.problem ? html`<section class="sheet"><div class="blank"><h2>${told.failed}</h2><p role="alert">${visible(found.problem)}</p><button class="btn" type="button" onClick=${load}>${told.again}</button></div></section>` : html`<${Loading} />`}</main>`;
  }
  const close = () => { setAsked(null); load(); };
  return html`<main id="page" class="page people"><header class="face-of"><div><h1>${title}</h1><p class="explain">${overAll() ? told.allOf : page.hasAccount ? told.ownOf(page.role, page.watchers) : told.noAccount}</p></div>
      ${page.hasAccount && html`<button class="btn" type="button" id="own-password" data-ctl=${`circusctl password ${word(page.person)}`} onClick=${() => setAsked(asks.password({ person: page.person, password: found.people.find((row) => row.person === page.person)?.password }, true))}>${told.yourPassword}</button>`}</header>
    ${overAll() && html`<${People} people=${found.people} ask=${setAsked} />`}
    ${(overAll() ? found.people.length > 0 : page.hasAccount) && html`<${Tokens} tokens=${found.tokens} people=${found.people} ask=${setAsked} show=${setShown} />`}
    <${Sessions} sessions=${found.sessions} ask=${setAsked} />
    ${asked && html`<${Ask} ...${asked} no=${told.leave} onClose=${close} />`}
    ${shown && html`<${Shown} ...${shown} onClose=${() => setShown(null)} />`}</main>`;
}
