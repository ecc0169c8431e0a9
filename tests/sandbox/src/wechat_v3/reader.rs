//! Reads a request's JSON field by field; every refusal names the field by its JSON pointer.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::{Answered, ApiError};

/// The largest amount in fen.
const MAX_AMOUNT: i64 = 10_000_000_000;

/// One object of the body. Fields that nobody read are refused by [`Object::end`].
pub struct Object<'a> {
    fields: &'a Map<String, Value>,
    at: String,
    read: RefCell<BTreeSet<&'static str>>,
}

/// Reads a body: one JSON object in UTF-8, of characters up to three bytes.
pub fn parse(body: &[u8]) -> Answered<Value> {
    let text = std::str::from_utf8(body).map_err(|_| ApiError::new("PARAM_ERROR", "请求体不是UTF-8"))?;
    if text.chars().any(|char| char.len_utf8() > 3) {
        return Err(ApiError::new("PARAM_ERROR", "请求体含有4字节字符"));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| ApiError::new("PARAM_ERROR", format!("请求体不是合法的JSON：{error}")))?;
    if !value.is_object() {
        return Err(ApiError::new("PARAM_ERROR", "请求体不是JSON对象"));
    }
    Ok(value)
}

impl<'a> Object<'a> {
    /// The whole body.
    pub fn root(body: &'a Value) -> Answered<Self> {
        Self::of(body, String::new())
    }

    fn of(value: &'a Value, at: String) -> Answered<Self> {
        match value.as_object() {
            Some(fields) => Ok(Self { fields, at, read: RefCell::default() }),
            None => Err(ApiError::field(&at, Some(value), "应为对象")),
        }
    }

    pub fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }

    /// A refusal of one field.
    pub fn wrong(&self, name: &str, issue: &str) -> ApiError {
        ApiError::field(&self.pointer(name), self.fields.get(name), issue)
    }

    fn get(&self, name: &'static str) -> Answered<Option<&'a Value>> {
        self.read.borrow_mut().insert(name);
        match self.fields.get(name) {
            Some(Value::Null) => Err(self.wrong(name, "不能为null")),
            other => Ok(other),
        }
    }

    /// A text of at most so many characters; an empty one is as good as none.
    pub fn text(&self, name: &'static str, max: usize) -> Answered<Option<&'a str>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| self.wrong(name, "应为字符串"))?;
        if text.chars().count() > max {
            return Err(self.wrong(name, &format!("长度不能超过{max}")));
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    pub fn required_text(&self, name: &'static str, max: usize) -> Answered<&'a str> {
        self.text(name, max)?.ok_or_else(|| self.wrong(name, "必填"))
    }

    /// One of a list of words.
    pub fn word(&self, name: &'static str, words: &[&str]) -> Answered<Option<&'a str>> {
        let word = self.text(name, 64)?;
        match word.is_none_or(|word| words.contains(&word)) {
            true => Ok(word),
            false => Err(self.wrong(name, &format!("应为{}之一", words.join("、")))),
        }
    }

    /// A whole number in this range.
    pub fn whole(&self, name: &'static str, least: i64) -> Answered<Option<i64>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let number = value.as_i64().filter(|number| (least..=MAX_AMOUNT).contains(number));
        number.map(Some).ok_or_else(|| self.wrong(name, &format!("应为{least}至{MAX_AMOUNT}的整数")))
    }

    /// An amount in fen, from 1 up.
    pub fn fen(&self, name: &'static str) -> Answered<i64> {
        self.whole(name, 1)?.ok_or_else(|| self.wrong(name, "必填"))
    }

    pub fn flag(&self, name: &'static str) -> Answered<Option<bool>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.wrong(name, "应为布尔值"))
    }

    pub fn object(&self, name: &'static str) -> Answered<Option<Self>> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        Self::of(value, self.pointer(name)).map(Some)
    }

    pub fn required_object(&self, name: &'static str) -> Answered<Self> {
        self.object(name)?.ok_or_else(|| self.wrong(name, "必填"))
    }

    /// The objects of a list; none if the list is missing.
    pub fn list(&self, name: &'static str) -> Answered<Vec<Self>> {
        let Some(value) = self.get(name)? else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| self.wrong(name, "应为数组"))?;
        items.iter().enumerate().map(|(n, item)| Self::of(item, format!("{}/{n}", self.pointer(name)))).collect()
    }

    /// The texts of a list, each one of the words.
    pub fn words(&self, name: &'static str, words: &[&str]) -> Answered<Vec<&'a str>> {
        let Some(value) = self.get(name)? else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(|| self.wrong(name, "应为数组"))?;
        let read = items.iter().map(|item| item.as_str().filter(|word| words.contains(word)));
        read.collect::<Option<_>>().ok_or_else(|| self.wrong(name, &format!("应为{}", words.join("、"))))
    }

    /// Refuses what nobody read.
    pub fn end(self) -> Answered<()> {
        let read = self.read.borrow();
        match self.fields.keys().find(|name| !read.contains(name.as_str())) {
            Some(name) => Err(self.wrong(name, "不是此接口的字段")),
            None => Ok(()),
        }
    }
}
