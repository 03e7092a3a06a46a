// What the examples install with npm, so that they can be checked without it.
declare module 'ms' {
  function ms(text: string): number | undefined;
  export = ms;
}
