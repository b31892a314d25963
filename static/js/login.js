// The door: takes the one-time token out of the address, turns it into a session, and goes on to the console.

import { say } from './words.js';

const said = document.getElementById('said');
const how = document.getElementById('how');

function show(text, failed) {
  said.textContent = text[0].toUpperCase() + text.slice(1);
  said.parentElement.hidden = false;
  said.parentElement.classList.toggle('is-fail', Boolean(failed));
  how.hidden = false;
}

async function redeem(token) {
  let answer;
  try {
    answer = await fetch(`/login${query}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'circus' },
      body: JSON.stringify({ token }),
      cache: 'no-store',
    });
  } catch {
    show(say.doorNoAnswer, true);
    return;
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) location.replace(told.next);
  else show(told.detail || say.linkRefused, true);
}

const query = location.search; // the page that was asked for before the door

function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) {
    // Out of the address bar and the history before anything else happens.
    history.replaceState(null, '', location.pathname + query);
    said.textContent = say.opening;
    said.parentElement.hidden = false;
    how.hidden = true;
    redeem(token);
    return;
  }
  // A link on a page of another site brings nobody in: its cookie is kept back until we ask from here.
  fetch(`/session${query}`, { cache: 'no-store' }).then(async (answer) => {
    const told = await answer.json();
    if (answer.ok && told.next) location.replace(told.next);
    else how.hidden = false;
  }).catch(() => { how.hidden = false; });
}

// A link that is opened on this very page changes nothing but the fragment.
addEventListener('hashchange', enter);
enter();
