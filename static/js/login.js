// The door: turns the one-time token in the address, or a name and a password, into a session, and goes on to the console.

import { say } from './words.js';

const said = document.getElementById('said');
const how = document.getElementById('how');
const form = document.getElementById('enter');
const button = form.querySelector('button');
const { prefix } = document.documentElement.dataset;
const query = location.search; // the page that was asked for before the door

function show(text, failed) {
  said.textContent = text[0].toUpperCase() + text.slice(1);
  said.parentElement.hidden = false;
  said.parentElement.classList.toggle('is-fail', Boolean(failed));
  how.hidden = false;
}

/** Goes on to the console, or tells why not; returns the seconds for which it makes no sense to try again. */
async function enterWith(given) {
  let answer;
  try {
    answer = await fetch(`${prefix}/login${query}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'circus' },
      body: JSON.stringify(given),
      cache: 'no-store',
    });
  } catch {
    show(say.doorNoAnswer, true);
    return 0;
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) location.replace(told.next);
  else show([told.detail || say.linkRefused, told.hint].filter(Boolean).join('; '), true);
  return answer.ok ? 0 : Number(answer.headers.get('Retry-After')) || 0;
}

/** The button counts the seconds down; what is typed stays. */
function waitFor(seconds) {
  button.disabled = seconds > 0;
  button.textContent = seconds > 0 ? say.logInLater(seconds) : say.logIn;
  if (seconds > 0) setTimeout(waitFor, 1000, seconds - 1);
}

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const { person, password } = form.elements;
  const empty = [person, password].find((field) => !field.value.trim());
  if (empty) { empty.focus(); return; }
  button.disabled = true;
  const seconds = await enterWith({ person: person.value.trim(), password: password.value });
  waitFor(seconds);
  if (!how.hidden) { password.value = ''; password.focus(); }
});

function arrive() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) {
    // Out of the address bar and the history before anything else happens.
    history.replaceState(null, '', location.pathname + query);
    said.textContent = say.opening;
    said.parentElement.hidden = false;
    how.hidden = true;
    enterWith({ token });
    return;
  }
  // A link on a page of another site brings nobody in: its cookie is kept back until we ask from here.
  fetch(`${prefix}/session${query}`, { cache: 'no-store' }).then(async (answer) => {
    const told = await answer.json();
    if (answer.ok && told.next) location.replace(told.next);
    else how.hidden = false;
  }).catch(() => { how.hidden = false; });
}

// A link that is opened on this very page changes nothing but the fragment.
addEventListener('hashchange', arrive);
arrive();
