// The live connection: batches in, acknowledgements out. What is not acknowledged is not followed by more, so a page
// that can't keep up is sent less and told what it missed, and neither the console nor the daemon keeps it in memory.

import { io } from '../vendor/socket.io.js';
import { base, page } from './page.js';
import { apply, seedEvents, seedLoad, setLink, store, touch } from './store.js';
import { call } from './commands.js';
import { HISTORY } from './series.js';

const panes = new Map(); // by key: {watchers, lines, take, ended, opened}
let nextKey = 1;
let up = 0; // grows with each time that the daemon begins to follow for this page; 0 while it does not
let ups = 0;
let ready = false; // whether panes may be opened: events have come, and have their places among the lines
let ackTimer = 0;
let seen = 0;
let owed = 0; // signs of what was taken and not acknowledged, about

const ACK_WAIT = 250; // milliseconds for an acknowledgement where little comes: it may speak for several batches
const ACK_SIGNS = 1 << 15; // after so much it is sent at once

const socket = io({
  path: `${base}/live`,
  transports: ['websocket'],
  reconnectionDelay: 150,
  reconnectionDelayMax: 1000,
  randomizationFactor: 0.3,
  timeout: 4000,
  autoConnect: false,
});

function transport() {
  return socket.io.engine ? socket.io.engine.transport.name : '';
}

function acknowledge() {
  clearTimeout(ackTimer);
  ackTimer = 0;
  owed = 0;
  socket.emit('ack', seen);
}

socket.on('connect', () => {
  seen = 0;
  const settled = () => {
    store.link.transport = transport();
    if (transport() === 'websocket') { refused = 0; socket.io.opts.transports = ['websocket']; }
    touch();
  };
  socket.io.engine.on('upgrade', settled);
  settled();
});

socket.on('disconnect', () => {
  up = 0;
  if (store.link.state !== 'over') setLink('console');
});

socket.on('connect_error', () => {
  up = 0;
  if (store.link.state === 'over') return;
  setLink('console');
  askWhy();
});

let askedAt = 0;
let refused = 0; // WebSockets that came to nothing while ordinary requests were answered
const REFUSALS = 2;

/** A browser does not say why a WebSocket came to nothing; an ordinary request does. */
async function askWhy() {
  if (Date.now() - askedAt < 500) return;
  askedAt = Date.now();
  try {
    const answer = await fetch(`${page.prefix}/session`, { cache: 'no-store' });
    if (!answer.ok) return;
    if ((await answer.json()).next === null) { over(); return; }
    refused += 1;
    // Something on the way lets none through. Over polling the way to one is still tried, each time.
    if (refused >= REFUSALS) socket.io.opts.transports = ['polling', 'websocket'];
  } catch {
    // Nobody answers at all: the connection is tried again by itself.
  }
}

function over() {
  setLink('over');
  socket.disconnect();
}

/** Somebody may have opened a new link beside this page, which then goes on with the new session. */
async function askWhetherIn() {
  const told = await fetch(`${page.prefix}/session`, { cache: 'no-store' }).then((answer) => answer.json()).catch(() => ({}));
  if (told.next) location.reload();
}

socket.on('over', over);

// The daemon answers: the base stream begins anew with a snapshot, and panes are opened anew.
socket.on('up', (told) => {
  ups += 1;
  up = ups;
  ready = false;
  store.link.transport = transport();
  store.updated = told.assets !== page.assets;
  const mine = up;
  call('events', { lines: 200 }).then((reply) => seedEvents(reply.events || []), () => {}).then(() => {
    if (up !== mine) return;
    ready = true;
    for (const key of panes.keys()) openPane(key);
  });
  call('history', { last: HISTORY }).then(seedLoad, () => {});
});

socket.on('down', () => {
  up = 0;
  setLink('daemon');
});

socket.on('live', (sequence, items) => {
  for (const [key, topic, data] of items) {
    owed += data.lines ? data.lines.length * 128 : 1024;
    if (key === 0) {
      apply(topic, data);
      if (topic === 'event.' && /^socket\.|^daemon\.reloaded$/.test(data.event)) askSockets();
    }
    else panes.get(key)?.take(data);
  }
  seen = sequence;
  // Over polling each acknowledgement is a request of its own.
  if (owed > ACK_SIGNS && transport() !== 'polling') acknowledge();
  else ackTimer ||= setTimeout(acknowledge, ACK_WAIT);
});

let sockets = 0;

/** Sockets are not part of the watchers' state; they change so rarely that they are asked for. */
function askSockets() {
  sockets ||= setTimeout(async () => {
    sockets = 0;
    const reply = await call('inspect').catch(() => null);
    if (reply) { store.sockets = reply.sockets; touch(); }
  }, 300);
}

socket.on('ended', (key, error) => panes.get(key)?.ended(error));

function openPane(key) {
  const pane = panes.get(key);
  if (!pane || !up || !ready) return;
  pane.opened();
  socket.emit('open', { key, watchers: pane.watchers, lines: pane.lines }, (error) => {
    if (error) panes.get(key)?.ended(error);
  });
}

/**
 * Follows the output of watchers. `take(data)` gets lines of one process, `opened()` is called each time that it begins (the
 * last `lines` come again then), `ended(error)` when it can't be. Returns how to `close` it and how to `change` the watchers.
 */
export function follow(watchers, lines, { take, ended, opened }) {
  const key = nextKey;
  nextKey += 1;
  panes.set(key, { watchers, lines, take, ended, opened });
  openPane(key);
  return {
    close() {
      panes.delete(key);
      if (up) socket.emit('close', key);
    },
    change(others) {
      panes.get(key).watchers = others;
      openPane(key);
    },
  };
}

/** Tries to connect at once instead of when it is time. */
export function askNow() {
  if (!socket.connected) { socket.disconnect(); socket.connect(); }
}

const PROBE = 5000; // milliseconds between two looks at how long the way is
const SILENCE = 3000; // milliseconds without a word after which the connection itself is asked
const ANSWER = 1500; // milliseconds that the console has for its answer
const SLEPT = 4000; // milliseconds between two seconds by which a machine must have slept

let asking = false;

/** Asks whether the console is still at the other end. A connection that died without a word, as while a laptop slept, is made anew. */
function probe() {
  if (!socket.connected || asking) return;
  asking = true;
  const sent = performance.now();
  socket.timeout(ANSWER).emit('probe', (late) => {
    asking = false;
    if (!late) { store.link.roundTrip = performance.now() - sent; touch(); }
    else if (socket.connected) { socket.disconnect(); socket.connect(); }
  });
}

let probed = 0;
let ticked = Date.now();

function tick() {
  const slept = Date.now() - ticked > SLEPT;
  ticked = Date.now();
  if (document.hidden) return;
  if (slept || Date.now() - Math.max(store.heard, probed) > SILENCE || Date.now() - probed > PROBE) { probed = Date.now(); probe(); }
}

export function connect() {
  socket.connect();
  setInterval(tick, 1000);
  // A page that comes back to the front shows the truth at once.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    touch();
    if (store.link.state === 'over') askWhetherIn();
    else if (socket.connected) probe();
    else askNow();
  });
  addEventListener('focus', () => { if (store.link.state === 'over') askWhetherIn(); });
}
