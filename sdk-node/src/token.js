// @ts-check
'use strict';

/** What a token of the original can be asked. The text of a token stays with the daemon, which alone checks it. */
class Token {
  #claims;

  /** @param {Record<string, any>} claims */
  constructor(claims) {
    this.#claims = claims;
  }

  /** Reads a token's claims without believing them. @param {string} jwt */
  static decode(jwt) {
    try {
      return new Token(JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString('utf8')) ?? {});
    } catch {
      return new Token({});
    }
  }

  /** @param {any} peer as the daemon shows it */
  static ofPeer(peer) {
    const { token: jti, issuer: iss, addresses, performable, publishable, subscribable, expires } = peer;
    const exp = expires === undefined ? undefined : Math.floor(Date.parse(expires) / 1000);
    const lists = { performable, publishable, subscribable };
    return new Token({ jti, iss, aud: iss, use: 'Authentication', ...place(addresses), addresses, ...lists, ...(exp && { exp }) });
  }

  /** @param {{ id: string, action: string, receiver: string, peer: string }} subscription @param {string} issuer */
  static ofSubscription({ id, action, receiver, peer }, issuer) {
    const claims = { jti: id, iss: issuer, aud: issuer, subscribedTo: [action], receiver, peerId: peer };
    return new Token({ use: 'Publisher Authentication', performable: [], publishable: [], subscribable: [], ...claims });
  }

  /** Whether it is within its times, as far as is known here. */
  isValid() {
    const { iss, nbf = -Infinity, exp = Infinity } = this.#claims;
    const now = Date.now() / 1000;
    return iss !== undefined && nbf <= now && now < exp;
  }

  claims() {
    return { ...this.#claims };
  }

  issuer() {
    return this.#claims.iss;
  }

  use() {
    return this.#claims.use ?? 'Authentication';
  }

  /** @returns {{ type: string, value: string }[]} */
  validBearers() {
    return (this.#claims.validBearers ?? []).map((/** @type {string} */ bearer) => {
      const [type = '', value = ''] = bearer.split('://');
      return { type, value };
    });
  }

  subscribable() {
    return this.#claims.subscribable ?? [];
  }

  publishable() {
    return this.#claims.publishable ?? [];
  }

  performable() {
    return this.#claims.performable ?? [];
  }

  subscribedTo() {
    return this.#claims.subscribedTo ?? [];
  }

  getClientConfig() {
    const { tls, cert, host, port } = this.#claims;
    return { tls, cert, host, port };
  }
}

/** The first address in the terms of the original. @param {string[]} [addresses] */
function place([first = ''] = []) {
  const parts = /^net:(.+):(\d+)(~tls)?$/.exec(first);
  if (!parts) return {};
  return { host: parts[1]?.replace(/^\[(.*)\]$/, '$1'), port: Number(parts[2]), tls: parts[3] !== undefined };
}

module.exports = { Token };
