// @ts-check
'use strict';

/**
 * A length of time in milliseconds: a number of them, or a text with one unit, as in `config.yml`.
 * @param {number | string} length `5000`, `'90s'`, `'1.5 hours'`
 */
function milliseconds(length) {
  const ms = typeof length === 'number' ? length : parse(String(length));
  if (Number.isFinite(ms) && ms >= 0) return Math.ceil(ms);
  throw new TypeError(`\`${String(length)}\` is no length of time; write milliseconds (5000), or a number with a unit ('90s', '5 min', '1.5h')`);
}

/** @param {string} text */
function parse(text) {
  const [, number, unit = ''] = LENGTH.exec(text) ?? [];
  const found = Object.entries(UNITS).find(([names]) => names.split(' ').includes(unit.toLowerCase()));
  return found ? Number(number) * found[1] : NaN;
}

/** A number and a unit: what a text without one means, seconds or milliseconds, everybody guesses otherwise. */
const LENGTH = /^(\d*\.?\d+) *([a-z]+)$/i;

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const DAY = 24 * HOUR;

/** Names of a unit, and its milliseconds. */
const UNITS = {
  'ms msec msecs millisecond milliseconds': 1,
  's sec secs second seconds': SECOND,
  'm min mins minute minutes': 60 * SECOND,
  'h hr hrs hour hours': HOUR,
  'd day days': DAY,
  'w week weeks': 7 * DAY,
  'y yr yrs year years': 365.25 * DAY,
};

module.exports = { milliseconds };
