/** The actions of peer 1. Made by `coattail action types`: changes are lost. */

/**
 * The input of the action `backup`.
 *
 * Copies a folder.
 * Twice, if asked.
 *
 * What to copy
 */
export interface BackupInput {
  __proto__?: "x";
  class?: boolean;
  /** A path * / alert(1) /* """ import os */
  folder: string;
  limits?: BackupInputLimits;
  mode?: "fast" | "safe" | 1 | true | null | "a\"b\\c\u000a";
  "per-file"?: { [key: string]: number };
  range?: [number, string?];
  tags?: (string | null)[];
}

export interface BackupInputLimits {
  bytes?: number;
  [key: string]: number | string | undefined;
}

/**
 * The output of the action `backup`.
 *
 * Copies a folder.
 * Twice, if asked.
 */
export interface BackupOutput {
  id: 7;
  sizes: { [key: string]: unknown };
}

/** The input of the action `tree`. */
export type TreeInput = TreeNode;

/** A node \ of a tree */
export interface TreeNode {
  children?: TreeNode[];
  value: TreeValue;
}

export type TreeValue = string | number | TreeValue[];

/** The output of the action `tree`. */
export type TreeOutput = TreeOutput2 & TreeOutput3;

export interface TreeOutput2 {
  a: string;
}

export interface TreeOutput3 {
  b?: number;
  "c-d"?: null;
}

/** The input of the action `Tree`. */
export type TreeInput2 = unknown /* it refers to itself */;

/** The output of the action `Tree`. */
export type TreeOutput4 = string;

/**
 * The input of the action `Café "; import os; // täglich`.
 *
 * * / export const hacked = 1; /*
 */
export type CafImportOsTGlichInput = unknown /* certain objects or lists */;

/**
 * The output of the action `Café "; import os; // täglich`.
 *
 * * / export const hacked = 1; /*
 */
export type CafImportOsTGlichOutput = 1.5 | 2;

/**
 * The input of the action `日報`.
 *
 * """
 * import os
 * process.exit()
 */
export interface UnnamedInput {
  ""?: never;
  /** * / */
  "\"]: any; }; evil()"?: string;
  None: unknown;
  "x\u000ay": string;
  absent: unknown;
}

/**
 * The output of the action `日報`.
 *
 * """
 * import os
 * process.exit()
 */
export type UnnamedOutput = unknown;

/** The input of the action `none`. */
export type NoneInput = unknown;

/** The output of the action `none`. */
export type NoneOutput = unknown;

/** What each action takes and returns. */
export interface Actions {
  "backup": { input: BackupInput; output: BackupOutput };
  "tree": { input: TreeInput; output: TreeOutput };
  "Tree": { input: TreeInput2; output: TreeOutput4 };
  "Café \"; import os; // täglich": { input: CafImportOsTGlichInput; output: CafImportOsTGlichOutput };
  "日報": { input: UnnamedInput; output: UnnamedOutput };
  "none": { input: NoneInput; output: NoneOutput };
}

export type ActionName = keyof Actions;

/** Performs any of them. */
export type PerformAction = <Name extends ActionName>(
  name: Name,
  input: Actions[Name]["input"],
) => Promise<Actions[Name]["output"]>;
