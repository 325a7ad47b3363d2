import { schemaText } from '../generated/schema.js';

/**
 * What a field holds, as generated: an atom (`s`tring, `b`oolean, `i`nt32, `l` int64, `d`ouble, base64 b`y`tes, `t`ime,
 * `q`uantity, `x` int or string, `a`nything), `=A|B` one of these texts, `@Name` an object, `[` a list of what follows,
 * `{` a map from text to what follows. A leading `!` marks a required field.
 */
export type TypeCode = string;
export type ObjectFields = Readonly<Record<string, TypeCode>>;

export interface Schema {
  /** The Kubernetes version the schema was made from. */
  readonly version: string;
  /** Type name by `apiVersion/kind`. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly types: Readonly<Record<string, ObjectFields>>;
}

/** Parses the schema, about a millisecond; whoever decodes often keeps the result. */
export function readSchema(): Schema {
  return JSON.parse(schemaText) as Schema;
}

/** The code behind own property `field`, never one that an object inherits. */
export function fieldCode(fields: ObjectFields, field: string): TypeCode | undefined {
  return Object.hasOwn(fields, field) ? fields[field] : undefined;
}
