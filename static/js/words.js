// Every phrase that more than one place says, and every sentence of the console's own: one place, ready to be translated.

export const states = {
  run: 'running', start: 'starting', stop: 'stopping', wait: 'in backoff', fail: 'failed', rest: 'stopped', lost: 'not known',
};

/** The word for one inner state of a process. */
export const processWord = {
  running: 'running', ready: 'running', starting: 'starting', waiting: 'waiting', stopping: 'stopping',
  exited: 'exited', backoff: 'backoff', failed: 'failed', stopped: 'stopped', completed: 'completed',
};

/** What a job is called while it goes on. */
export const going = {
  start: 'starting', stop: 'stopping', restart: 'restarting', reload: 'reloading', incr: 'scaling', decr: 'scaling',
  kill: 'stopping', set: 'changing', rm: 'removing', add: 'adding', quit: 'ending', reloadconfig: 'reloading',
};

export const verbs = {
  start: 'Start', stop: 'Stop', restart: 'Restart', reload: 'Reload', less: 'One process less', more: 'One process more',
  log: 'Log', tryNow: 'Try now', copy: 'copy', dismiss: 'Dismiss', askNow: 'Ask now', follow: 'Follow', following: 'Following',
  close: 'Close',
};

export const say = {
  brand: 'circus',
  watchers: 'Watchers',
  processes: 'Processes',
  sockets: 'Sockets',
  events: 'Events',
  log: 'Log',
  restarts: 'restarts, 1 h',
  output: 'output',
  linesPerSecond: ' lines/s',
  asking: 'Asking circusd',
  nothingWatched: 'Nothing is watched yet',
  whatIsAWatcher: 'A watcher is a command that circusd keeps running. Start one from the command line, or write it into circus.ini and reload.',
  firstWatcher: 'circusctl add --start hello sleep 1000',
  noSockets: 'No managed sockets. A [socket:NAME] section opens one for the workers.',
  noEvents: 'Nothing has happened yet since circusd has started.',
  filterWatchers: 'Filter by name, glob or state',
  filterLines: 'Filter, /regex/ or !not',
  badPattern: (text) => `Not a regular expression: ${text}`,
  nothingMatches: (filter) => `No watcher matches “${filter}”`,
  hiddenByFilter: (count) => `${count} ${count === 1 ? 'is' : 'are'} hidden by the filter.`,
  nearest: 'Nearest name: ',
  clearFilter: 'Clear the filter',
  noneInSegment: 'None of the watchers is in this state.',
  noWatcher: (name) => `There is no watcher “${name}”`,
  removedOrNever: 'It was removed, or the address is wrong.',
  allWatchers: 'All watchers',
  mayNot: (person, role, needed) => `${person} is ${role}; this needs ${needed}.`,
  notWhileNotLive: 'Not while the page is not live: what is shown may be old.',
  isSingleton: 'It is a singleton: never more than one process.',
  noFewer: 'There are no processes to take away.',
  failedTo: (command, name) => `${command} of ${name} did not work`,
  noLine: 'Waiting for the first line.',
  noLineMatches: (count) => `${count} lines are hidden by the filter.`,
  notCaptured: 'The output of this watcher is not captured.',
  skipped: (count, many) => `${count} ${many ? 'lines were' : 'line was'} skipped`,
  skippedWhy: 'faster than this page could take them; a log file, where there is one, has them',
  missedWhy: 'they were written while the page was not connected, and are older than what was asked for',
  heldAt: 'Held at',
  newLines: (count) => `${count} new`,
  keys: 'Keys',
  live: 'live',
  notLive: (age) => `not live, ${age} old`,
  connecting: 'connecting',
  lostDaemon: (time) => `circusd has not answered since ${time}`,
  lostConsole: (time) => `the console has not answered since ${time}`,
  howOld: (age) => `What is shown is ${age} old. It is asked again by itself.`,
  polling: 'over polling: something on the way lets no WebSocket through',
  sessionOver: 'The session is over',
  sessionHow: 'A new one opens with a link from',
  notLeft: 'Not logged out: the console did not answer.',
  updated: 'The console was updated; this page is the old one.',
  reload: 'Load the new one',
  copied: 'copied',
  whole: (count) => `${count} in this watcher`,
};

/** The keys that the console knows: shown by ?. */
export const keyTable = [
  ['j k', 'row down, row up'],
  ['Enter', 'open the watcher'],
  ['s', 'start'],
  ['r', 'restart'],
  ['R', 'reload'],
  ['x', 'stop'],
  ['+ -', 'one process more, one less'],
  ['/', 'filter'],
  ['f', 'follow the log, or hold it'],
  ['Home End', 'oldest line, newest line and follow'],
  ['y', 'copy the prompt line'],
  ['g w', 'all watchers'],
  ['Esc', 'clear, close, back'],
  ['?', 'these keys'],
];
