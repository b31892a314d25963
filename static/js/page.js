// What the server wrote into the page: which daemon, who looks at it, and what proves that a POST comes from here.

const told = document.documentElement.dataset;

export const page = {
  daemon: told.daemon,
  person: told.person,
  role: told.role,
  csrf: told.csrf,
  assets: told.assets,
  version: told.version,
  prefix: told.prefix, // the path of the console, where it is below another one
  hasAccount: Boolean(told.account), // and so a password to change, and tokens to make
  watchers: (told.watchers || '').split(' ').filter(Boolean), // patterns of the only watchers that this person may see
  seesAll: !told.watchers,
};

export const base = `${page.prefix}/d/${encodeURIComponent(page.daemon)}`;

/** Under which the browser keeps what this person wants to be told of; see `alerts.js`. */
export const alertsKey = `circus.alerts ${base} ${page.person}`;

const ROLES = ['viewer', 'operator', 'admin'];

/** Whether the person's role reaches what needs the other. */
export function may(needed) {
  return ROLES.indexOf(page.role) >= ROLES.indexOf(needed);
}
