// What a caller writes: checked with the types beside it.
import type { BackupInput, PerformAction } from "./types";

export async function use(performAction: PerformAction): Promise<number> {
  const input: BackupInput = { folder: "/home", range: [1], limits: { bytes: 1, more: "x" } };
  const done = await performAction("backup", input);
  // @ts-expect-error: a folder is a text
  await performAction("backup", { folder: 42 });
  // @ts-expect-error: there is no such action
  await performAction("restore", {});
  await performAction("tree", { value: ["a", [1]], children: [{ value: 1 }] });
  const id: 7 = done.id;
  return id;
}
