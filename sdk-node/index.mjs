// @ts-check
import coattail from './index.js';

export const { action, receiver, CoattailError, Reject, RetryLater } = coattail;
