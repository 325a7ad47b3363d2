/** What a field of a configuration file holds, and whether the agent does anything with it. */
export type FieldType =
  | {
      readonly is:
        'string' | 'path' | 'bool' | 'int' | 'number' | 'duration' | 'strings' | 'string-map' | 'bool-map' | 'any';
    }
  | { readonly is: 'enum'; readonly of: readonly string[] }
  | { readonly is: 'lists-map' }
  | { readonly is: 'object'; readonly fields: Fields }
  | { readonly is: 'objects'; readonly fields: Fields };

export type Field = FieldType & {
  /** Why it has no effect; absent for one that has. */
  readonly idle?: string;
  readonly least?: number;
  readonly most?: number;
};

export type Fields = { readonly [name: string]: Field };

/** The value that a field of this type is decoded to. Durations are milliseconds. */
export type ValueOf<F> = F extends { is: 'string' | 'path' }
  ? string
  : F extends { is: 'bool' }
    ? boolean
    : F extends { is: 'int' | 'number' | 'duration' }
      ? number
      : F extends { is: 'strings' }
        ? readonly string[]
        : F extends { is: 'string-map' }
          ? Readonly<Record<string, string>>
          : F extends { is: 'bool-map' }
            ? Readonly<Record<string, boolean>>
            : F extends { is: 'lists-map' }
              ? Readonly<Record<string, readonly string[]>>
              : F extends { is: 'enum'; of: readonly (infer W)[] }
                ? W
                : F extends { is: 'object'; fields: infer O }
                  ? ObjectOf<O>
                  : F extends { is: 'objects'; fields: infer O }
                    ? readonly ObjectOf<O>[]
                    : unknown;

export type ObjectOf<O> = { readonly [K in keyof O]?: ValueOf<O[K]> | undefined };
