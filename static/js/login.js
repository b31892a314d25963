// The door: takes the one-time token out of the address, turns it into a session, and goes on to the console.

const said = document.getElementById('said');
const how = document.getElementById('how');

function show(text, failed) {
  said.textContent = text;
  said.parentElement.hidden = false;
  said.parentElement.classList.toggle('is-fail', Boolean(failed));
  how.hidden = false;
}

async function redeem(token) {
  let answer;
  try {
    answer = await fetch('/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'X-Requested-With': 'circus' },
      body: JSON.stringify({ token }),
      cache: 'no-store',
    });
  } catch {
    show('The console did not answer. Load the page again.', true);
    return;
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) location.replace(told.next);
  else show(told.detail || 'The link was not accepted.', true);
}

const token = new URLSearchParams(location.hash.slice(1)).get('token');
if (token) {
  // Out of the address bar and the history before anything else happens.
  history.replaceState(null, '', location.pathname);
  said.textContent = 'Opening the console…';
  said.parentElement.hidden = false;
  redeem(token);
} else {
  // A link on a page of another site brings nobody in: its cookie is kept back until we ask from here.
  fetch('/session', { cache: 'no-store' }).then(async (answer) => {
    if (answer.ok) location.replace((await answer.json()).next);
    else how.hidden = false;
  }).catch(() => { how.hidden = false; });
}
