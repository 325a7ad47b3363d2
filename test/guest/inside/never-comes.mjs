/** What is waited for cannot come any more. */
export class NeverComes extends Error {}
