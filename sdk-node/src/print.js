// @ts-check
'use strict';

/**
 * The lines in which the original shows a token to a person.
 * @param {import('./token').Token} token
 * @param {{ showId: boolean, extras: Record<string, unknown> }} options
 */
function printed(token, { showId, extras }) {
  const { jti, iat, nbf, exp, iss, aud, host, port, tls, subscribedTo } = token.claims() ?? {};
  const rows = [
    ...(showId ? [['Token ID', jti]] : []),
    ...Object.entries(extras),
    ['Use', token.use()],
    ['Issued At', time(iat) ?? 'unknown'],
    ['Effective At', nbf * 1000 > Date.now() ? time(nbf) : 'now'],
    ['Expires At', time(exp) ?? 'never'],
    ['Issuer Hash', iss],
    ['Audience Hash', aud],
    ['Host', host],
    ['Port', port],
    ['Use TLS', tls ? 'Yes' : 'No'],
    ['Performable', names(token.performable())],
    ['Publishable', names(token.publishable())],
    ['Subscribable', names(token.subscribable())],
    ['Valid Bearers', bearers(token.validBearers())],
    ...(subscribedTo ? [['Subscribed To', subscribedTo.join(', ')]] : []),
  ];
  const width = Math.max(...rows.map(([label]) => String(label).length));
  return rows.map(([label, value]) => ` ${String(label).padEnd(width)}  ${value ?? ''}`);
}

/** @param {number | undefined} seconds */
function time(seconds) {
  return seconds === undefined ? undefined : new Date(seconds * 1000).toISOString();
}

/** @param {string[]} list */
function names(list) {
  if (list.length === 0) return 'None';
  return list.includes('*') ? 'Any' : list.join(', ');
}

/** @param {{ type: string, value: string }[]} list */
function bearers(list) {
  if (list.some(({ type, value }) => type === 'ipv4' && value === '0.0.0.0/0')) return 'Any';
  return list.map(({ type, value }) => `${type}://${value}`).join(', ');
}

module.exports = { printed };
