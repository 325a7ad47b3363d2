/** What the words of an argument are, for shell completion. */
export type Completes = 'pod' | 'resource' | 'image' | 'file' | undefined;
