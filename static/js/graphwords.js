// Every phrase of the page of dependencies, ready to be translated: apart from the others, as most never open it.

const many = (count, one, more) => `${count} ${count === 1 ? one : more}`;

export const words = {
  title: 'Dependencies',
  lead: (count, waiting, lost, without) => {
    const rest = [waiting && `${many(waiting, 'waits', 'wait')} for what is not there yet`, lost && `${many(lost, 'was', 'were')} not started, as what is needed can’t be had`, without && `${many(without, 'runs', 'run')} though what was needed is not there any more`].filter(Boolean).join('; ');
    return `${many(count, 'watcher needs others', 'watchers need others or are needed')}. ${rest || 'What they need is there'}.`;
  },
  waitsFor: (names) => `waits for ${names.join(', ')}`,
  views: { '': 'Graph', start: 'Start of circusd', last: 'Last starts' },
  whichView: 'What is shown',
  picture: 'Who needs whom',
  pictureLabel: (count) => `${many(count, 'watcher', 'watchers')}, those that are needed on the left. Arrow keys go from one to the next; the table below says the same.`,
  legend: 'Each line leads to what needs the other. A broken line: not as it is needed yet.',
  mermaid: 'Mermaid',
  table: 'The same as a table',
  head: { name: 'Watcher', state: 'State', needs: 'Needs', users: 'Needed by' },
  conditions: { ready: 'ready', started: 'started', healthy: 'healthy', completed: 'ended', completed_successfully: 'ended well' },
  answering: 'answers',
  answered: (time) => `answered at ${time}`,
  silent: (problem, times, next) => `${problem}, asked ${times === 1 ? 'once' : `${times} times`}${next ? `, next in ${next}` : ''}`,
  notAsked: 'not asked yet',
  met: 'there',
  missing: 'not yet',
  nodeLabel: (name, word, needs) => `${name}: ${word}${needs.length ? `. Needs ${needs.join(', ')}` : ''}`,
  needLabel: (name, condition, met) => `${name} ${condition} (${met ? 'there' : 'not yet'})`,
  alone: (count) => `${many(count, 'watcher needs nothing, and nobody needs it', 'watchers need nothing, and nobody needs them')}`,
  none: 'No watcher depends on another',
  whatIsIt: 'One that depends on others is started when they are as it needs them, and stopped before them. An option of its section says on which:',
  howTo: '[watcher:web]\ncmd = ./web\ndepends_on = db, migrate:completed_successfully',
  nothing: '–',
};

/** How the last start went. */
export const starts = {
  bootTitle: 'The last start of circusd',
  lastTitle: 'The last start of each watcher',
  lead: (took, underWay) => `It took ${took}${underWay ? `, and ${many(underWay, 'watcher is', 'watchers are')} on the way yet` : ''}.`,
  chain: 'The critical chain:',
  soonerIf: 'Only what takes less time in one of these makes the whole sooner.',
  step: (step, of) => `step ${step} of ${of} of the critical chain`,
  keys: { waited: 'waited', started: 'started', ready: 'ready', chain: 'in the critical chain' },
  head: { name: 'Watcher', bar: 'How it went', took: 'Took', at: 'Ready at', after: 'Waited for last' },
  told: (waited, took, until) => `waited ${waited}, ${took ? `${starts.untils[until]} ${took} later` : starts.notYet[until]}`,
  untils: { ready: 'was ready', healthy: 'was healthy', ended: 'ended' },
  notYet: { ready: 'is being started', healthy: 'is not healthy yet', ended: 'goes on' },
  waits: (why) => (why ? `waits for ${why}` : 'waits for its turn'),
  failed: (why) => `could not be started: ${why}`,
  hasFailed: 'failed',
  isWaiting: 'waits',
  onTheWay: 'starting',
  notHealthy: 'not healthy yet',
  none: 'Nothing was started so far',
  nothing: '–',
};
