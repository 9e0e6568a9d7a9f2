//! A Parquet file of rows, compressed by Zstandard. The same rows give the same bytes.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::RecordBatch;
use arrow_array::builder::BinaryBuilder;
use arrow_array::builder::Int32Builder;
use arrow_array::builder::Int64Builder;
use arrow_array::builder::StringBuilder;
use arrow_array::builder::TimestampMillisecondBuilder;
use arrow_schema::ArrowError;
use arrow_schema::DataType;
use arrow_schema::Field;
use arrow_schema::Schema;
use arrow_schema::SchemaRef;
use arrow_schema::TimeUnit;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::basic::ZstdLevel;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::cells::CellBuilder;
use crate::cells::UTC;
use crate::cells::data_type;
use crate::columns::Column;
use crate::columns::FIXED;
use crate::fields::FieldFinder;
use crate::row::Row;

/// Rows that are made into columns at once.
const BATCH_ROWS: usize = 8192;

/// Rows that could not be written as Parquet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteParquetError {
    #[error("cannot make columns of the events")]
    Columns(#[from] ArrowError),
    #[error("cannot write columns as Parquet")]
    File(#[from] ParquetError),
}

/// What keys and values of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Text: values are JSON.
    Json,
    /// Any bytes: what dead letters keep.
    Bytes,
}

/// The shape of a stream's files.
#[derive(Debug)]
pub(crate) struct Shape {
    content: Content,
    columns: Vec<Column>,
    finder: FieldFinder,
    schema: SchemaRef,
}

impl Shape {
    pub(crate) fn new(content: Content, columns: Vec<Column>) -> Self {
        let bytes = match content {
            Content::Json => DataType::Utf8,
            Content::Bytes => DataType::Binary,
        };
        let instant = DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()));
        let [id, key, event_time, ingest_time, partition, offset, headers, value] = FIXED;
        let mut fields = vec![
            Field::new(id, DataType::Utf8, false),
            Field::new(key, bytes.clone(), false),
            Field::new(event_time, instant.clone(), false),
            Field::new(ingest_time, instant, false),
            Field::new(partition, DataType::Int32, false),
            Field::new(offset, DataType::Int64, false),
            Field::new(headers, DataType::Utf8, true),
        ];
        fields.extend(
            columns.iter().map(|column| Field::new(&column.name, data_type(column.kind), true)),
        );
        fields.push(Field::new(value, bytes, false));
        let finder = FieldFinder::new(&columns);
        Self { content, columns, finder, schema: Arc::new(Schema::new(fields)) }
    }

    /// The file of these rows, in their order.
    pub(crate) fn file(&self, rows: &[Row]) -> Result<Vec<u8>, WriteParquetError> {
        let [id, .., value] = FIXED;
        let properties = WriterProperties::builder()
            .set_created_by("millrace".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            // Hardly two of them are the same.
            .set_column_dictionary_enabled(ColumnPath::from(id), false)
            .set_column_dictionary_enabled(ColumnPath::from(value), false)
            .build();
        let schema = Arc::clone(&self.schema);
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        for rows in rows.chunks(BATCH_ROWS) {
            writer.write(&self.batch(rows)?)?;
        }
        Ok(writer.into_inner()?)
    }

    fn batch(&self, rows: &[Row]) -> Result<RecordBatch, ArrowError> {
        let mut ids = StringBuilder::new();
        let mut event_times = TimestampMillisecondBuilder::new().with_timezone(UTC);
        let mut ingest_times = TimestampMillisecondBuilder::new().with_timezone(UTC);
        let mut partitions = Int32Builder::new();
        let mut offsets = Int64Builder::new();
        let mut headers = StringBuilder::new();
        let mut cells: Vec<_> =
            self.columns.iter().map(|column| CellBuilder::new(column.kind)).collect();
        let mut fields = vec![None; cells.len()];
        let mut text = uuid::Uuid::encode_buffer();
        for row in rows {
            ids.append_value(row.record.id.as_uuid().hyphenated().encode_lower(&mut text));
            event_times.append_value(row.record.event_time);
            ingest_times.append_value(row.record.ingest_time);
            partitions.append_value(row.partition);
            offsets.append_value(row.offset);
            headers.append_option(row.headers());
            self.finder.find(&row.record.value, &mut fields);
            for (cell, field) in cells.iter_mut().zip(&fields) {
                cell.append(*field);
            }
        }
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(ids.finish()),
            self.bytes(rows.iter().map(|row| row.record.key.as_ref())),
            Arc::new(event_times.finish()),
            Arc::new(ingest_times.finish()),
            Arc::new(partitions.finish()),
            Arc::new(offsets.finish()),
            Arc::new(headers.finish()),
        ];
        columns.extend(cells.iter_mut().map(CellBuilder::finish));
        columns.push(self.bytes(rows.iter().map(|row| row.record.value.as_ref())));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }

    fn bytes<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> ArrayRef {
        match self.content {
            Content::Json => {
                let mut builder = StringBuilder::new();
                for value in values {
                    builder.append_value(String::from_utf8_lossy(value));
                }
                Arc::new(builder.finish())
            }
            Content::Bytes => {
                let mut builder = BinaryBuilder::new();
                for value in values {
                    builder.append_value(value);
                }
                Arc::new(builder.finish())
            }
        }
    }
}
