// @ts-check
'use strict';

const net = require('node:net');
const { printed } = require('./print');

/** @typedef {{ issuer: string, control: import('./control').Order }} Own */

/**
 * A token as the original's user code has it. What it says is read here and believed by nobody: the daemon alone
 * checks tokens.
 */
class Token {
  #claims;
  #own;

  /**
   * @param {{ jwt?: string, claims?: Record<string, any> | null }} of its text; or what is known of it without
   * @param {Own} own the instance that reads it
   */
  constructor({ jwt = '', claims = decode(jwt) }, own) {
    this.#claims = claims;
    this.#own = own;
    /** @type {string | undefined} That of its row, if this instance has issued it. */
    this.id = claims && claims.iss === own.issuer ? claims.jti : undefined;
    // A secret: not among what is logged or returned with the object.
    /** @type {string} */
    this.jwt = '';
    Object.defineProperty(this, 'jwt', { value: jwt, enumerable: false });
  }

  /** What the daemon tells of a token without its text. @param {any} peer @param {Own} own */
  static ofPeer(peer, own) {
    const { token: jti, issuer: iss, addresses, performable, publishable, subscribable, expires } = peer;
    const exp = expires === undefined ? undefined : Math.floor(Date.parse(expires) / 1000);
    const lists = { performable, publishable, subscribable };
    const claims = { jti, iss, aud: iss, use: USE, ...place(addresses), addresses, ...lists, ...(exp && { exp }) };
    return new Token({ claims }, own);
  }

  /** @param {{ id: string, action: string, receiver: string, peer: string }} subscription @param {Own} own */
  static ofSubscription({ id, action, receiver, peer }, own) {
    const lists = { performable: [], publishable: [], subscribable: [] };
    const subject = { subscribedTo: [action], receiver, peerId: peer };
    return new Token({ claims: { jti: id, iss: own.issuer, aud: own.issuer, use: SUBSCRIPTION_USE, ...lists, ...subject } }, own);
  }

  /** Whether it can be read, and is within its times. */
  isValid() {
    if (!this.#claims?.iss) return false;
    const { nbf = -Infinity, exp = Infinity } = this.#claims;
    const now = Date.now() / 1000;
    return nbf <= now && now < exp;
  }

  claims() {
    return this.#claims && { ...this.#claims };
  }

  issuer() {
    return this.#claims?.iss;
  }

  use() {
    return this.#claims?.use ?? USE;
  }

  /** @returns {{ type: string, value: string }[]} */
  validBearers() {
    return (this.#claims?.validBearers ?? []).map((/** @type {string} */ bearer) => {
      const [type = '', value = ''] = bearer.split('://');
      return { type, value };
    });
  }

  subscribable() {
    return this.#claims?.subscribable ?? [];
  }

  publishable() {
    return this.#claims?.publishable ?? [];
  }

  performable() {
    return this.#claims?.performable ?? [];
  }

  subscribedTo() {
    return this.#claims?.subscribedTo ?? [];
  }

  getClientConfig() {
    const { tls, cert, host, port } = this.#claims ?? {};
    return { tls, cert, host, port, auth: this.jwt };
  }

  /**
   * Resolves to the claims if this instance has issued the token, has not revoked it, and takes it from this address.
   * @param {unknown} _database that of the daemon
   * @param {string} address
   */
  async tryAuthenticate(_database, address) {
    const row = this.id && (await this.#own.control('tokens.show', { token: this.id, raw: true }).catch(ifMissing));
    if (!row || row.raw !== this.jwt || !this.isValid()) throw new Error('Invalid, expired or revoked token.');
    if (!this.validBearers().some((bearer) => covers(bearer, address))) {
      throw new Error(`Token is not valid for bearer '${address}'.`);
    }
    return this.claims();
  }

  /** @param {{ showId?: boolean, outputHandler?: (lines: string[]) => void, extras?: Record<string, unknown> }} [options] */
  print({ showId = true, outputHandler = (lines) => console.log(lines.join('\n')), extras = {} } = {}) {
    outputHandler(printed(this, { showId, extras }));
  }

  /** It was stored when it was issued. */
  async save() {
    const row = this.id && (await this.#own.control('tokens.show', { token: this.id }).catch(ifMissing));
    if (!row) throw new Error('tokens are stored when they are issued: try `coattail token issue`');
  }

  /** Revokes it. */
  async delete() {
    if (this.id === undefined) throw new Error('only a token that this instance has issued can be deleted here');
    await this.#own.control('tokens.revoke', { token: this.id }).catch(ifMissing);
  }
}

/** @param {string} jwt @returns {Record<string, any> | null} */
function decode(jwt) {
  try {
    const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' ? claims : null;
  } catch {
    return null;
  }
}

/**
 * Whether a bearer is this address. `vt://` never is: its key is proven on a connection, for that connection alone.
 * @param {{ type: string, value: string }} bearer @param {string} address
 */
function covers({ type, value }, address) {
  const [base = '', prefix] = value.split('/');
  const family = net.isIPv6(base) ? 'ipv6' : 'ipv4';
  if (type !== family || !net.isIP(base)) return false;
  const range = new net.BlockList();
  range.addSubnet(base, prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix), family);
  const mapped = /^::ffff:(?=\d+\.)/i;
  const plain = address.replace(mapped, '');
  return net.isIP(plain) > 0 && range.check(plain, net.isIPv6(plain) ? 'ipv6' : 'ipv4');
}

/** @param {any} error */
function ifMissing(error) {
  if (error.code !== 'not-found' && error.code !== 'invalid-input') throw error;
  return undefined;
}

/** The first address in the terms of the original. @param {string[]} [addresses] */
function place([first = ''] = []) {
  const parts = /^net:(.+):(\d+)(~tls)?$/.exec(first);
  if (!parts) return {};
  return { host: parts[1]?.replace(/^\[(.*)\]$/, '$1'), port: Number(parts[2]), tls: parts[3] !== undefined };
}

const USE = 'Authentication';
const SUBSCRIPTION_USE = 'Publisher Authentication';

module.exports = { Token, decode, ifMissing };
